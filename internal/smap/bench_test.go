package smap

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
)

// BenchmarkLoad reads keys that are there, beside a plain map (which nobody may write to meanwhile) and a sync.Map.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1, 4, 8, 16, 1000, 100_000} {
		m, plain := filled(n)
		var std sync.Map
		keys := make([]string, 0, 1024)
		for k, v := range plain {
			std.Store(k, v)
			if len(keys) < cap(keys) {
				keys = append(keys, k)
			}
		}
		for len(keys) < cap(keys) {
			keys = append(keys, keys[len(keys)%n])
		}
		bench := func(name string, load func(string) (int, bool)) {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, ok := load(keys[i%1024]); !ok {
						b.Fatal("missing")
					}
				}
			})
		}
		bench("smap", m.Load)
		bench("plain", func(k string) (int, bool) { v, ok := plain[k]; return v, ok })
		bench("sync", func(k string) (int, bool) { v, ok := std.Load(k); return v.(int), ok })
	}
}

func BenchmarkLoadMiss(b *testing.B) {
	for _, n := range []int{0, 8, 1000} {
		m, _ := filled(n)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				m.Load("key-none")
			}
		})
	}
}

// BenchmarkFill stores and deletes a million keys; the time is for all of them.
func BenchmarkFill(b *testing.B) {
	keys := make([]string, 1_000_000)
	for i := range keys {
		keys[i] = "key-" + strconv.Itoa(i)
	}
	var m Map[int]
	var plain map[string]int
	var std sync.Map
	bench := func(name string, store func(string, int), remove func(string)) {
		b.Run("store/"+name, func(b *testing.B) {
			for b.Loop() {
				m, plain, std = Map[int]{}, map[string]int{}, sync.Map{}
				for i, k := range keys {
					store(k, i)
				}
			}
		})
		b.Run("delete/"+name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				for i, k := range keys {
					store(k, i)
				}
				b.StartTimer()
				for _, k := range keys {
					remove(k)
				}
			}
		})
	}
	bench("smap", m.Store, m.Delete)
	bench("plain", func(k string, v int) { plain[k] = v }, func(k string) { delete(plain, k) })
	bench("sync", func(k string, v int) { std.Store(k, v) }, func(k string) { std.Delete(k) })
}
