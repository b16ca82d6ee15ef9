// Package erlang writes values as RabbitMQ's error texts show them, which is how
// Erlang prints its terms.
package erlang

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Text writes a value of a table: strings and bytes as a binary, a table as a map.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return "undefined"
	case string:
		return Binary(v)
	case []byte:
		return Binary(string(v))
	case float32:
		return float(float64(v), 32)
	case float64:
		return float(v, 64)
	case []any:
		return "[" + join(slices.Values(v), Text) + "]"
	case map[string]any:
		pair := func(key string) string { return Binary(key) + " => " + Text(v[key]) }
		return "#{" + join(slices.Values(slices.Sorted(maps.Keys(v))), pair) + "}"
	default:
		return fmt.Sprint(v)
	}
}

func join[T any](list func(func(T) bool), text func(T) string) string {
	var all []string
	for v := range list {
		all = append(all, text(v))
	}
	return strings.Join(all, ",")
}

// Binary writes octets: as a string if they can be printed.
func Binary(octets string) string {
	if octets == "" {
		return "<<>>"
	}
	if isPrintable(octets) {
		return `<<"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(octets) + `">>`
	}
	numbers := make([]string, len(octets))
	for i := range numbers {
		numbers[i] = strconv.Itoa(int(octets[i]))
	}
	return "<<" + strings.Join(numbers, ",") + ">>"
}

func isPrintable(octets string) bool {
	return strings.IndexFunc(octets, func(r rune) bool { return (r < 0x20 || r >= 0x7f) && !strings.ContainsRune("\n\r\t", r) }) < 0
}

// float writes a number so that it cannot be taken for an integer.
func float(v float64, bits int) string {
	s := strconv.FormatFloat(v, 'g', -1, bits)
	if strings.ContainsAny(s, ".eIN") {
		return s
	}
	return s + ".0"
}
