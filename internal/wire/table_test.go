package wire

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// foreignTable is a table type of another package.
type foreignTable map[string]any

func (t foreignTable) AMQPTable() map[string]any { return t }

var tableBytes = []struct {
	words string
	value any
	bytes string // of the value with its type letter
}{
	{"void", nil, "V"},
	{"true", true, "t\x01"},
	{"false", false, "t\x00"},
	{"signed 8", int8(-2), "b\xfe"},
	{"unsigned 8", uint8(254), "B\xfe"},
	{"signed 16", int16(-2), "s\xff\xfe"},
	{"unsigned 16", uint16(65534), "u\xff\xfe"},
	{"signed 32", int32(-2), "I\xff\xff\xff\xfe"},
	{"unsigned 32", uint32(1 << 31), "i\x80\x00\x00\x00"},
	{"signed 64", int64(-2), "l\xff\xff\xff\xff\xff\xff\xff\xfe"},
	{"float 1.5", float32(1.5), "f\x3f\xc0\x00\x00"},
	{"double 1.5", 1.5, "d\x3f\xf8\x00\x00\x00\x00\x00\x00"},
	{"decimal 3.14", Decimal{Scale: 2, Value: 314}, "D\x02\x00\x00\x01\x3a"},
	{"string", "héé", "S\x00\x00\x00\x05h\xc3\xa9\xc3\xa9"},
	{"empty string", "", "S\x00\x00\x00\x00"},
	{"bytes", []byte{0, 255}, "x\x00\x00\x00\x02\x00\xff"},
	{"no bytes", []byte{}, "x\x00\x00\x00\x00"},
	{"timestamp", time.Date(2009, 11, 10, 23, 0, 0, 0, time.UTC), "T\x00\x00\x00\x00\x4a\xf9\xf0\x70"},
	{"timestamp of all ones", time.Unix(-1, 0).UTC(), "T\xff\xff\xff\xff\xff\xff\xff\xff"},
	{"table", Table{"k": true}, "F\x00\x00\x00\x04\x01kt\x01"},
	{"empty table", Table{}, "F\x00\x00\x00\x00"},
	{"array", []any{nil, "a", []any{}}, "A\x00\x00\x00\x0c" + "V" + "S\x00\x00\x00\x01a" + "A\x00\x00\x00\x00"},
}

func TestTableBytes(t *testing.T) {
	for _, test := range tableBytes {
		t.Run(test.words, func(t *testing.T) {
			want := withLength("\x01k" + test.bytes)
			encoded, err := AppendTable([]byte("before"), Table{"k": test.value})
			if err != nil || string(encoded) != "before"+want {
				t.Errorf("encoded %q, %v, want %q", encoded, err, "before"+want)
			}
			decoded, rest, err := ReadTable([]byte(want + "after"))
			if err != nil || string(rest) != "after" || !reflect.DeepEqual(decoded, Table{"k": test.value}) {
				t.Errorf("decoded %#v, rest %q, %v, want %#v", decoded, rest, err, test.value)
			}
		})
	}
}

func TestValuesReadFromOtherFormsThanTheyAreWrittenIn(t *testing.T) {
	got, err := ReadTableBody([]byte("\x01LL\x80\x00\x00\x00\x00\x00\x00\x00" + "\x01tt\x02"))
	if want := (Table{"L": int64(math.MinInt64), "t": true}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %#v, %v, want %#v", got, err, want)
	}
}

func TestValuesWrittenFromOtherTypesThanTheyAreReadAs(t *testing.T) {
	b, err := AppendTable(nil, map[string]any{
		"int":     7,
		"map":     map[string]any{"k": nil},
		"foreign": foreignTable{"k": nil},
		"when":    time.Date(2009, 11, 10, 23, 0, 0, 999, time.FixedZone("", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := ReadTable(b)
	want := Table{
		"int":     int64(7),
		"map":     Table{"k": nil},
		"foreign": Table{"k": nil},
		"when":    time.Date(2009, 11, 10, 22, 0, 0, 0, time.UTC),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %#v, %v, want %#v", got, err, want)
	}
}

func TestEqualTablesHaveEqualBytes(t *testing.T) {
	b, err := AppendTable(nil, Table{"b": nil, "ab": nil, "": nil, "a": nil})
	if want := "\x00\x00\x00\x0c\x00V\x01aV\x02abV\x01bV"; err != nil || string(b) != want {
		t.Errorf("encoded %q, %v, want %q", b, err, want)
	}
}

func TestFieldsOfATableMayComeFirst(t *testing.T) {
	b, err := AppendTable(nil, Table{"t": Ordered{Table: Table{"d": nil, "c": nil, "b": nil, "a": nil}, First: []string{"c", "x", "b"}}})
	if want := "\x00\x00\x00\x13\x01tF\x00\x00\x00\x0c\x01cV\x01bV\x01aV\x01dV"; err != nil || string(b) != want {
		t.Errorf("encoded %q, %v, want %q", b, err, want)
	}
}

func TestTableWithoutEntriesIsNil(t *testing.T) {
	if table, rest, err := ReadTable([]byte("\x00\x00\x00\x00!")); table != nil || string(rest) != "!" || err != nil {
		t.Errorf("read %#v, rest %q, %v", table, rest, err)
	}
	if b, err := AppendTable(nil, nil); string(b) != "\x00\x00\x00\x00" || err != nil {
		t.Errorf("encoded %q, %v", b, err)
	}
}

func TestOfAKeyThatOccursTwiceTheLastValueCounts(t *testing.T) {
	got, err := ReadTableBody([]byte("\x01kb\x01" + "\x01kb\x02"))
	if want := (Table{"k": int8(2)}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %#v, %v, want %#v", got, err, want)
	}
}

func TestTableKeysNeedNotBeUTF8(t *testing.T) {
	got, err := ReadTableBody([]byte("\x01\xffV"))
	if _, ok := got["\xff"]; err != nil || !ok {
		t.Errorf("read %#v, %v", got, err)
	}
}

func TestEveryPrefixOfATableIsRefused(t *testing.T) {
	for _, test := range tableBytes {
		body := "\x01k" + test.bytes
		for n := 1; n < len(body); n++ {
			if got, err := ReadTableBody([]byte(body[:n])); !errors.Is(err, ErrTable) {
				t.Errorf("%s: %d of %d bytes read as %#v, %v", test.words, n, len(body), got, err)
			}
		}
	}
}

func TestMalformedTables(t *testing.T) {
	for words, bytes := range map[string]string{
		"no length":                       "\x00\x00\x00",
		"length beyond the end":           "\x00\x00\x00\x05\x01kt\x01",
		"length of four gigabytes":        "\xff\xff\xff\xff\x01kt\x01",
		"string longer than the table":    "\x00\x00\x00\x08\x01kS\x00\x00\x00\x02aa",
		"string of four gigabytes":        "\x00\x00\x00\x08\x01kS\xff\xff\xff\xffa",
		"bytes of two gigabytes":          "\x00\x00\x00\x08\x01kx\x7f\xff\xff\xffa",
		"array longer than the table":     "\x00\x00\x00\x08\x01kA\x00\x00\x00\x02V",
		"table longer than the table":     "\x00\x00\x00\x0a\x01kF\x00\x00\x00\x04\x01kV",
		"unknown type":                    "\x00\x00\x00\x03\x01kZ",
		"unknown type in an array":        "\x00\x00\x00\x08\x01kA\x00\x00\x00\x01Z",
		"unknown type in a nested table":  "\x00\x00\x00\x0a\x01kF\x00\x00\x00\x03\x01kZ",
		"key longer than the table":       "\x00\x00\x00\x02\x05k",
		"short value in a nested table":   "\x00\x00\x00\x0a\x01kF\x00\x00\x00\x03\x01kb",
		"tables nested too deeply":        nestedTables(maxTableDepth),
		"arrays nested too deeply":        nestedArrays(maxTableDepth),
		"a million opening array letters": "\x00\x0f\x42\x40" + strings.Repeat("A", 1_000_000),
	} {
		if got, _, err := ReadTable([]byte(bytes)); !errors.Is(err, ErrTable) {
			t.Errorf("%s: read as %#v, %v", words, got, err)
		}
	}
}

// withLength puts the four bytes of its length before body.
func withLength(body string) string { return string(be.AppendUint32(nil, uint32(len(body)))) + body }

// nestedTables is an empty table within depth others.
func nestedTables(depth int) string {
	table := withLength("")
	for range depth {
		table = withLength("\x00F" + table)
	}
	return table
}

// nestedArrays is a table with an empty array within depth-1 others.
func nestedArrays(depth int) string {
	array := withLength("")
	for range depth - 1 {
		array = withLength("A" + array)
	}
	return withLength("\x00A" + array)
}

func TestNestingIsLimitedAlikeBothWays(t *testing.T) {
	deepest := nestedTables(maxTableDepth - 1)
	table, _, err := ReadTable([]byte(deepest))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := AppendTable(nil, table); err != nil || string(b) != deepest {
		t.Errorf("a table that could be read cannot be written: %v", err)
	}
	if _, err := AppendTable(nil, Table{"": table}); err == nil {
		t.Error("a table nested too deeply could be written")
	}
	loop := Table{}
	loop["loop"] = []any{loop}
	if _, err := AppendTable(nil, loop); err == nil {
		t.Error("a table that contains itself could be written")
	}
}

func TestFieldErrorNamesTheValue(t *testing.T) {
	for text, table := range map[string]Table{
		"wire: table field x: type uint64 has no AMQP field type":                {"x": uint64(1)},
		"wire: table field a.b[2]: type []string has no AMQP field type":         {"a": Table{"b": []any{1, 2, []string{}}}},
		"wire: table field f.k: type struct {} has no AMQP field type":           {"f": foreignTable{"k": struct{}{}}},
		"wire: table field kkkkkkkkkkkkkkkk...: key of 256 bytes, where 255 fit": {strings.Repeat("k", 256): 1},
	} {
		b, err := AppendTable([]byte("before"), table)
		var field *FieldError
		if !errors.As(err, &field) || err.Error() != text || string(b) != "before" {
			t.Errorf("%q, %v, want %q", b, err, text)
		}
	}
}

func FuzzTable(f *testing.F) {
	for _, test := range tableBytes {
		f.Add([]byte("\x01k" + test.bytes))
	}
	f.Add([]byte(nestedTables(maxTableDepth))[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		table, err := ReadTableBody(body)
		if err != nil {
			return
		}
		once := mustAppend(t, func(b []byte) ([]byte, error) { return AppendTable(b, table) })
		if len(once) > 4+len(body) {
			t.Fatalf("%d bytes became %d", len(body), len(once))
		}
		again, rest, err := ReadTable(once)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%#v was written as % x and then: %v", table, once, err)
		}
		if twice := mustAppend(t, func(b []byte) ([]byte, error) { return AppendTable(b, again) }); string(twice) != string(once) {
			t.Fatalf("% x became % x", once, twice)
		}
	})
}
