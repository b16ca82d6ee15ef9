// Package erlang writes values as RabbitMQ's error texts show them, which is how
// Erlang prints its terms.
package erlang

import (
	"fmt"
	"maps"
	"math"
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

// Binary writes octets: as a string if they can be printed, as Latin-1.
func Binary(octets string) string { return AppendBinary("", octets) }

// Octets writes octets as numbers in any case.
func Octets(octets string) string { return appendNumbers("", octets, math.MaxInt) }

// Line writes octets as Binary does, on one line.
func Line(octets string) string {
	if octets != "" && isPrintable(octets) {
		return Binary(octets)
	}
	return Octets(octets)
}

// lineLength is where Erlang breaks the lines of what it prints.
const lineLength = 80

// AppendBinary appends octets to a text as Binary writes them, the numbers on several
// lines if one is not enough.
func AppendBinary(text, octets string) string {
	if octets != "" && isPrintable(octets) {
		return text + `<<"` + escapes.Replace(octets) + `">>`
	}
	return appendNumbers(text, octets, lineLength)
}

func appendNumbers(text, octets string, length int) string {
	begin := column(text) + len("<<")
	text += "<<"
	for i := range len(octets) {
		number := strconv.Itoa(int(octets[i]))
		if i+1 < len(octets) {
			number += ","
		}
		if at := column(text); at > begin && at+len(number) >= length {
			text += "\n" + strings.Repeat(" ", begin)
		}
		text += number
	}
	return text + ">>"
}

// AppendTuple appends {tag,number} to a text, on two lines if one is not enough.
func AppendTuple(text, tag string, number int) string {
	begin, end := "{"+tag+",", strconv.Itoa(number)+"}"
	if at := column(text); at+len(begin)+len(end)+1 >= lineLength {
		begin += "\n" + strings.Repeat(" ", at+1)
	}
	return text + begin + end
}

// column is how many characters the last line of a text has.
func column(text string) int { return len(text) - 1 - strings.LastIndexByte(text, '\n') }

var escapes = strings.NewReplacer(
	`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`, "\b", `\b`, "\f", `\f`, "\x1b", `\e`)

func isPrintable(octets string) bool {
	for i := range len(octets) {
		c := octets[i]
		if (c < 0x20 || c > 0x7e && c < 0xa0) && strings.IndexByte("\n\r\t\v\b\f\x1b", c) < 0 {
			return false
		}
	}
	return true
}

// float writes a number so that it cannot be taken for an integer.
func float(v float64, bits int) string {
	s := strconv.FormatFloat(v, 'g', -1, bits)
	if strings.ContainsAny(s, ".eIN") {
		return s
	}
	return s + ".0"
}
