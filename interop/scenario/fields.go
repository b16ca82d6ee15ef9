package scenario

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// methodIDs are the methods of AMQP by name, such as queue.declare.
var methodIDs = func() map[string]wire.ID {
	ids := map[string]wire.ID{}
	for class := range uint32(100) {
		for method := range uint32(130) {
			id := wire.ID(class<<16 | method)
			if wire.NewMethod(id) != nil {
				ids[id.Name()] = id
			}
		}
	}
	return ids
}()

// kebab turns a field's name in Go into AMQP's: RoutingKey into routing-key.
func kebab(name string) string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		if unicode.IsUpper(r) && lower {
			b.WriteByte('-')
		}
		lower = unicode.IsLower(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// An assignment is a word NAME=VALUE, or NAME for a bit that is set.
type assignment struct{ name, value string }

func assignments(words []string) []assignment {
	var all []assignment
	for _, w := range words {
		name, value, found := strings.Cut(w, "=")
		if !found {
			value = "true"
		}
		all = append(all, assignment{name, value})
	}
	return all
}

// newMethod returns a method with fields set, and what was assigned besides them.
func newMethod(name string, fields []assignment) (wire.Method, []assignment, error) {
	id, ok := methodIDs[name]
	if !ok {
		return nil, nil, fmt.Errorf("AMQP has no method %s", name)
	}
	m := wire.NewMethod(id)
	rest, err := setFields(m, fields)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, rest, nil
}

// setFields sets the fields of the struct that p points to, by AMQP's names, and
// returns the assignments to what it does not have.
func setFields(p any, fields []assignment) (rest []assignment, err error) {
	v := reflect.ValueOf(p).Elem()
	for _, f := range fields {
		i := fieldIndex(v.Type(), f.name)
		if i < 0 {
			rest = append(rest, f)
			continue
		}
		if err := setField(v.Field(i), f.value); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return rest, nil
}

func fieldIndex(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if kebab(t.Field(i).Name) == name && t.Field(i).Name != "Flags" {
			return i
		}
	}
	return -1
}

func setField(v reflect.Value, word string) error {
	switch v.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(word)
		v.SetBool(b)
		return err
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(word, 10, v.Type().Bits())
		v.SetUint(n)
		return err
	case reflect.Map:
		t, err := parseTable(word)
		v.Set(reflect.ValueOf(t))
		return err
	case reflect.Struct: // timestamp
		n, err := scalar('T', word)
		v.Set(reflect.ValueOf(n))
		return err
	default:
		s, err := text(word)
		v.SetString(s)
		return err
	}
}

// setProperties sets properties by name; those that are set are present, even if
// they are empty.
func setProperties(p *wire.Properties, fields []assignment) (rest []assignment, err error) {
	if rest, err = setFields(p, fields); err != nil {
		return nil, err
	}
	for i, f := range propertyNames {
		for _, a := range fields {
			if a.name == f {
				p.Flags |= 1 << (15 - i)
			}
		}
	}
	return rest, nil
}

// propertyNames are in the order of their flags.
var propertyNames = func() []string {
	var names []string
	t := reflect.TypeFor[wire.Properties]()
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "Flags" {
			names = append(names, kebab(f.Name))
		}
	}
	return names
}()

// formatMethod writes a method as a script would have it. Bits that are not set
// are left out.
func formatMethod(m wire.Method) string {
	words := []string{m.ID().String()}
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		name, f := kebab(v.Type().Field(i).Name), v.Field(i)
		if f.Kind() == reflect.Bool {
			if f.Bool() {
				words = append(words, name)
			}
			continue
		}
		words = append(words, name+"="+formatField(f))
	}
	return strings.Join(words, " ")
}

// formatProperties writes the properties that are present.
func formatProperties(p *wire.Properties) string {
	var words []string
	v := reflect.ValueOf(p).Elem()
	for i, name := range propertyNames {
		if p.Has(1 << (15 - i)) {
			words = append(words, name+"="+formatField(v.Field(i+1)))
		}
	}
	return strings.Join(words, " ")
}

func formatField(v reflect.Value) string {
	switch f := v.Interface().(type) {
	case string:
		return quoteField(f)
	case wire.Table:
		return formatTable(f)
	case time.Time:
		return formatTime(f)
	default:
		return fmt.Sprint(f)
	}
}

func quoteField(s string) string {
	if strings.HasPrefix(s, "{") || !bare.MatchString(s) {
		return strconv.Quote(s)
	}
	return s
}
