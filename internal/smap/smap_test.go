package smap

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

func TestZeroMap(t *testing.T) {
	var m Map[int]
	m.Delete("a")
	checkSame(t, &m, map[string]int{})
	if size := unsafe.Sizeof(m); size != unsafe.Sizeof(uintptr(0)) {
		t.Errorf("an empty Map takes %d bytes, want one pointer", size)
	}
}

func TestStoreReplacesValue(t *testing.T) {
	for _, n := range []int{1, small, small + 1, 1000} {
		m, want := filled(n)
		for k := range want {
			m.Store(k, -want[k])
			want[k] = -want[k]
		}
		checkSame(t, m, want)
	}
}

func TestEmptyKey(t *testing.T) {
	var m Map[int]
	m.Store("", 1)
	checkSame(t, &m, map[string]int{"": 1})
	m.Delete("")
	checkSame(t, &m, map[string]int{})
}

func TestTableFollowsTheNumberOfEntries(t *testing.T) {
	m, want := filled(10_000)
	if got := len(m.table.Load().buckets); got != 1<<14 {
		t.Errorf("10,000 entries in %d buckets", got)
	}
	for k := range want {
		if len(want) == 5 {
			break
		}
		m.Delete(k)
		delete(want, k)
	}
	checkSame(t, m, want)
	if got := len(m.table.Load().buckets); got > 32 {
		t.Errorf("5 entries left in %d buckets", got)
	}
	for k := range want {
		m.Delete(k)
	}
	if m.table.Load() != nil {
		t.Error("a Map that was emptied keeps a table")
	}
}

// An entry must not be rebuilt for ever when writes go back and forth over a limit.
func TestNoThrashing(t *testing.T) {
	for _, n := range []int{0, 3, small, 15, 16, 17, 64, 256, 1024} {
		m, _ := filled(n)
		const rounds, writes = 100, 2
		resizes := 0
		for range rounds {
			for _, write := range []func(){func() { m.Store("x", 0) }, func() { m.Delete("x") }} {
				before := m.table.Load()
				write()
				if before != nil && m.table.Load() != before && n > 0 {
					resizes++
				}
			}
		}
		if resizes > writes {
			t.Errorf("around %d entries: %d resizes in %d writes", n, resizes, rounds*writes)
		}
	}
}

func TestWritesInsideAll(t *testing.T) {
	m, want := filled(1000)
	seen := map[string]bool{}
	for k, v := range m.All() {
		if !has(want, k) {
			continue // one of the new ones
		}
		if seen[k] || want[k] != v {
			t.Fatalf("All reports %q = %d again or wrongly", k, v)
		}
		seen[k] = true
		m.Delete(k)
		for i := range 3 {
			m.Store(fmt.Sprint(k, " new ", i), v)
		}
	}
	for k := range want {
		if !seen[k] {
			t.Fatalf("All misses %q, there when it began and deleted only when reported", k)
		}
	}
	if m.Len() != 3*len(seen) {
		t.Fatalf("Len = %d after %d keys were each replaced by three", m.Len(), len(seen))
	}
}

func TestAllStops(t *testing.T) {
	m, _ := filled(100)
	n := 0
	for range m.All() {
		if n++; n == 5 {
			break
		}
	}
	if n != 5 {
		t.Errorf("%d steps, want 5", n)
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	for _, n := range []int{0, 5, 1000} {
		m, _ := filled(n)
		got := testing.AllocsPerRun(100, func() {
			m.Load("key-3")
			m.Load("none")
			m.Len()
			for range m.All() {
			}
		})
		if got != 0 {
			t.Errorf("%d entries: %v allocations", n, got)
		}
	}
}

// Values that were deleted or replaced must become garbage, though the entries around them stay.
func TestNothingIsKept(t *testing.T) {
	for _, n := range []int{small, 1000} {
		var m Map[*[64]byte]
		var freed atomic.Int64
		put := func(i int) {
			v := new([64]byte)
			runtime.AddCleanup(v, func(int) { freed.Add(1) }, 0)
			m.Store(strconv.Itoa(i), v)
		}
		for i := range n {
			put(i)
		}
		gone := 0
		for i := range n {
			switch i % 3 {
			case 0:
				m.Delete(strconv.Itoa(i))
				gone++
			case 1:
				put(i)
				gone++
			}
		}
		for range 100 {
			runtime.GC()
			if freed.Load() == int64(gone) {
				break
			}
			runtime.Gosched()
		}
		if got := freed.Load(); got != int64(gone) {
			t.Errorf("%d of %d values freed", got, gone)
		}
		runtime.KeepAlive(&m)
	}
}

// One writer makes a part of the keys come and go, while readers check that the other keys never do, that no value is
// another key's, and that values never go back.
func TestReadersBesideAWriter(t *testing.T) {
	const stay, churn, readers = 50, 3000, 3
	type entry struct{ key, version int }
	var m Map[entry]
	for i := range stay {
		m.Store(strconv.Itoa(i), entry{i, 0})
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			var last [stay]int
			for !done.Load() {
				for i := range stay {
					e, ok := m.Load(strconv.Itoa(i))
					if !ok || e.key != i || e.version < last[i] {
						t.Errorf("Load(%d) = %v, %v after version %d", i, e, ok, last[i])
						return
					}
					last[i] = e.version
				}
				found := 0
				for k, e := range m.All() {
					if k != strconv.Itoa(e.key) {
						t.Errorf("All reports %q = %v", k, e)
						return
					}
					if e.key < stay {
						found++
					}
				}
				if found != stay {
					t.Errorf("All reports %d of the %d keys that stay", found, stay)
					return
				}
				if n := m.Len(); n < stay || n > stay+churn {
					t.Errorf("Len = %d", n)
					return
				}
			}
		})
	}
	for version := range 10 {
		for i := range churn {
			m.Store(strconv.Itoa(stay+i), entry{stay + i, version})
			m.Store(strconv.Itoa(i%stay), entry{i % stay, version})
		}
		for i := range churn {
			m.Delete(strconv.Itoa(stay + i))
		}
	}
	done.Store(true)
	wg.Wait()
}

func TestAgainstPlainMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		script := make([]byte, 1000)
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		checkScript(t, script)
	}
}

// The hash differs from run to run, which confuses the minimiser: give it -fuzzminimizetime=5x.
func FuzzMap(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 1, 1})
	f.Fuzz(checkScript)
}

// checkScript plays pairs of bytes, an operation and a key, on a Map and on a plain map.
func checkScript(t *testing.T, script []byte) {
	if len(script) > 1000 {
		t.Skip("no news in more of the same")
	}
	var m Map[int]
	model := map[string]int{}
	for i := 0; i+1 < len(script); i += 2 {
		op, key := script[i], string(script[i+1:i+2])
		switch op % 8 {
		case 0, 1, 2:
			m.Store(key, i)
			model[key] = i
		case 3, 4, 5:
			m.Delete(key)
			delete(model, key)
		case 6: // a run of keys, so that tables grow
			for j := range op / 8 {
				k := key + strconv.Itoa(int(j))
				m.Store(k, i)
				model[k] = i
			}
		case 7:
			for j := range op / 8 {
				k := key + strconv.Itoa(int(j))
				m.Delete(k)
				delete(model, k)
			}
		}
		if m.Len() != len(model) {
			t.Fatalf("Len = %d, want %d", m.Len(), len(model))
		}
		if v, ok := m.Load(key); ok != has(model, key) || v != model[key] {
			t.Fatalf("Load(%q) = %d, %v, want %d", key, v, ok, model[key])
		}
	}
	checkSame(t, &m, model)
}

func has(m map[string]int, key string) bool {
	_, ok := m[key]
	return ok
}

func checkSame(t *testing.T, m *Map[int], want map[string]int) {
	t.Helper()
	if m.Len() != len(want) {
		t.Fatalf("Len = %d, want %d", m.Len(), len(want))
	}
	if got := maps.Collect(m.All()); !maps.Equal(got, want) {
		t.Fatalf("All = %v, want %v", got, want)
	}
	for k, v := range want {
		if got, ok := m.Load(k); !ok || got != v {
			t.Fatalf("Load(%q) = %d, %v, want %d", k, got, ok, v)
		}
	}
	if v, ok := m.Load("never stored"); ok || v != 0 {
		t.Fatalf("Load of a key never stored = %d, %v", v, ok)
	}
}

// filled returns a Map and a plain map of n keys, key-0 and so on.
func filled(n int) (*Map[int], map[string]int) {
	m, plain := new(Map[int]), map[string]int{}
	for i := range n {
		k := "key-" + strconv.Itoa(i)
		m.Store(k, i)
		plain[k] = i
	}
	return m, plain
}
