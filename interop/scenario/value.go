package scenario

import (
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/internal/decimal"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// split cuts a line into words at blanks outside of quotes and brackets.
func split(line string) ([]string, error) {
	var words []string
	start, depth, quoted := -1, 0, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		if (c == ' ' || c == '\t') && !quoted && depth == 0 {
			if start >= 0 {
				words = append(words, line[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	if quoted || depth != 0 {
		return nil, fmt.Errorf("a quote or bracket is not closed")
	}
	if start >= 0 {
		words = append(words, line[start:])
	}
	return words, nil
}

// text is the string that a word stands for: itself, or what Go's quotes mean.
func text(word string) (string, error) {
	if !strings.HasPrefix(word, `"`) {
		return word, nil
	}
	s, err := strconv.Unquote(word)
	if err != nil {
		return "", fmt.Errorf("%s is not a string", word)
	}
	return s, nil
}

// octets are the bytes that words stand for: hexadecimal digits, or quoted text.
func octets(words []string) ([]byte, error) {
	var all []byte
	for _, w := range words {
		b := []byte(nil)
		s, err := text(w)
		if err == nil && strings.HasPrefix(w, `"`) {
			b = []byte(s)
		} else if err == nil {
			b, err = hex.DecodeString(w)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: neither hexadecimal octets nor a quoted string", w)
		}
		all = append(all, b...)
	}
	return all, nil
}

var bare = regexp.MustCompile(`^[A-Za-z0-9_.*#/+-][A-Za-z0-9_.*#/+@=-]*$`)

// quote is the word for a string.
func quote(s string) string {
	if bare.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// parseTable reads {key:LETTER:value, ...}, with the letters of wire.Table.
func parseTable(s string) (wire.Table, error) {
	p := &valueParser{s: s}
	t, err := p.table()
	if err == nil && p.skip() != "" {
		err = fmt.Errorf("%q follows", p.s)
	}
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", s, err)
	}
	return t, nil
}

// valueParser reads table values from the front of s.
type valueParser struct{ s string }

func (p *valueParser) skip() string {
	p.s = strings.TrimLeft(p.s, " ")
	return p.s
}

// take removes a character if it comes next.
func (p *valueParser) take(c byte) bool {
	if p.skip() == "" || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

func (p *valueParser) table() (wire.Table, error) {
	if !p.take('{') {
		return nil, fmt.Errorf("a table is written {key:S:value, ...}")
	}
	t := wire.Table{}
	for !p.take('}') {
		key, err := p.literal(":")
		if err != nil {
			return nil, err
		}
		if !p.take(':') {
			return nil, fmt.Errorf("key %q has no type letter", key)
		}
		if t[key], err = p.value(); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if !p.take(',') && !strings.HasPrefix(p.skip(), "}") {
			return nil, fmt.Errorf("no comma after %s", key)
		}
	}
	return t, nil
}

func (p *valueParser) array() ([]any, error) {
	if !p.take('[') {
		return nil, fmt.Errorf("an array is written [S:value, ...]")
	}
	values := []any{}
	for !p.take(']') {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		if !p.take(',') && !strings.HasPrefix(p.skip(), "]") {
			return nil, fmt.Errorf("no comma after a value")
		}
	}
	return values, nil
}

// literal takes a quoted string, or what comes before a delimiter.
func (p *valueParser) literal(delimiters string) (string, error) {
	if strings.HasPrefix(p.skip(), `"`) {
		quoted, err := strconv.QuotedPrefix(p.s)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.s, err)
		}
		p.s = p.s[len(quoted):]
		return strconv.Unquote(quoted)
	}
	end := strings.IndexAny(p.s, delimiters)
	if end < 0 {
		return "", fmt.Errorf("%q ends too early", p.s)
	}
	word := strings.TrimRight(p.s[:end], " ")
	p.s = p.s[end:]
	return word, nil
}

func (p *valueParser) value() (any, error) {
	if p.skip() == "" {
		return nil, fmt.Errorf("a value is missing")
	}
	letter := p.s[0]
	p.s = p.s[1:]
	if letter == 'V' {
		return nil, nil
	}
	if !p.take(':') {
		return nil, fmt.Errorf("no colon after type letter %c", letter)
	}
	switch letter {
	case 'F':
		return p.table()
	case 'A':
		return p.array()
	}
	word, err := p.literal(",]}")
	if err != nil {
		return nil, err
	}
	return scalar(letter, word)
}

// scalar is a table value other than a table, an array, or none.
func scalar(letter byte, word string) (any, error) {
	switch letter {
	case 'S':
		return word, nil
	case 'x':
		return []byte(word), nil
	case 't':
		return strconv.ParseBool(word)
	case 'f', 'd':
		f, err := strconv.ParseFloat(word, 64)
		if letter == 'f' {
			return float32(f), err
		}
		return f, err
	case 'D':
		return parseDecimal(word)
	case 'B', 'u', 'i':
		return unsigned(letter, word)
	}
	if letter == 'T' && word == "now" {
		return time.Now().UTC().Truncate(time.Second), nil
	}
	bits, ok := map[byte]int{'b': 8, 's': 16, 'I': 32, 'l': 64, 'T': 64}[letter]
	if !ok {
		return nil, fmt.Errorf("there is no type letter %c", letter)
	}
	n, err := strconv.ParseInt(word, 10, bits)
	switch letter {
	case 'b':
		return int8(n), err
	case 's':
		return int16(n), err
	case 'I':
		return int32(n), err
	case 'T':
		return time.Unix(n, 0).UTC(), err
	}
	return n, err
}

func unsigned(letter byte, word string) (any, error) {
	bits := map[byte]int{'B': 8, 'u': 16, 'i': 32}[letter]
	n, err := strconv.ParseUint(word, 10, bits)
	switch letter {
	case 'B':
		return uint8(n), err
	case 'u':
		return uint16(n), err
	}
	return uint32(n), err
}

// parseDecimal reads VALUEeSCALE, which is VALUE / 10^SCALE.
func parseDecimal(word string) (wire.Decimal, error) {
	var d decimal.Decimal
	_, err := fmt.Sscanf(word, "%de%d", &d.Value, &d.Scale)
	return d, err
}

// formatTable is what parseTable reads, its keys in order.
func formatTable(t map[string]any) string {
	keys := make([]string, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		keys[i] = quoteKey(k) + ":" + formatValue(t[k])
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

func quoteKey(s string) string {
	if bareKey.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

func formatValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "V"
	case bool:
		return fmt.Sprintf("t:%t", v)
	case int8:
		return fmt.Sprintf("b:%d", v)
	case uint8:
		return fmt.Sprintf("B:%d", v)
	case int16:
		return fmt.Sprintf("s:%d", v)
	case uint16:
		return fmt.Sprintf("u:%d", v)
	case int32:
		return fmt.Sprintf("I:%d", v)
	case uint32:
		return fmt.Sprintf("i:%d", v)
	case int64:
		return fmt.Sprintf("l:%d", v)
	case float32:
		return "f:" + strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return "d:" + strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return "S:" + quoteLiteral(v)
	case []byte:
		return "x:" + quoteLiteral(string(v))
	case wire.Decimal:
		return fmt.Sprintf("D:%de%d", v.Value, v.Scale)
	case time.Time:
		return "T:" + formatTime(v)
	case wire.Table:
		return "F:" + formatTable(v)
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = formatValue(v[i])
		}
		return "A:[" + strings.Join(words, ", ") + "]"
	}
	return fmt.Sprintf("?%T", v)
}

var bareLiteral = regexp.MustCompile(`^[^\s,\[\]{}"\\[:cntrl:]]+$`)

func quoteLiteral(s string) string {
	if bareLiteral.MatchString(s) && strconv.Quote(s) == `"`+s+`"` {
		return s
	}
	return strconv.Quote(s)
}

// formatTime says "now" for a time of the scenario itself, which differs from run to run.
func formatTime(t time.Time) string {
	if d := time.Since(t); d > -time.Minute && d < time.Hour {
		return "now"
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// formatBody writes a body out, or says how long it is.
func formatBody(b []byte) string {
	if len(b) <= 200 {
		return quoteBody(string(b))
	}
	return fmt.Sprintf("%d-octets(%08x)", len(b), crc32.ChecksumIEEE(b))
}

func quoteBody(s string) string { return quote(s) }
