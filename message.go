package pocketmq

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/internal/decimal"
)

// Message is a body with the properties that AMQP gives it. The zero value is
// an empty message.
//
// Publishing shares a message, it does not copy it: every queue it reaches and
// every consumer that receives it sees the same Message, Body and Headers. So
// from the first Publish on nobody may change them, neither the publisher nor a
// consumer. Publishing the same *Message again, to other exchanges or from
// several goroutines, is fine.
type Message struct {
	Body []byte

	// Headers are for applications and for the headers exchange; see Table. The
	// headers CC and BCC, each a []any of strings, add routing keys to the one
	// that the message is published with; BCC is removed before delivery.
	Headers Table

	ContentType     string
	ContentEncoding string
	DeliveryMode    uint8 // 0 or Transient, Persistent
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string // how long it may wait in a queue, in milliseconds ("60000"); "" = for ever. See MessageTTL
	MessageID       string
	Timestamp       time.Time
	Type            string
	UserID          string
	AppID           string

	origin *origin // nil = made in this process
}

// Values of Message.DeliveryMode. A broker keeps its messages in memory either
// way; the property travels with the message.
const (
	Transient  uint8 = 1
	Persistent uint8 = 2
)

// Table holds named values: message headers, or arguments of a binding. A value
// is one of the types that AMQP 0-9-1 can carry as RabbitMQ does: nil, bool,
// int8, uint8, int16, uint16, int32, uint32, int64, int, float32, float64,
// string, []byte, time.Time (to the second), Decimal, Table, or a []any of
// these. A key has at most 255 bytes.
type Table = map[string]any

// Decimal is AMQP's decimal number: Value / 10^Scale, where Scale is a uint8 and
// Value an int32.
type Decimal = decimal.Decimal

const (
	maxShortString = 255 // bytes; AMQP's limit for names, keys and properties
	maxTableDepth  = 64  // tables and arrays, the outermost included
)

// checkTable reports the first value in t that AMQP can't carry.
func checkTable(what string, t Table, depth int) error {
	if depth >= maxTableDepth {
		return invalid("%s: nested more than %d deep", what, maxTableDepth)
	}
	for key, v := range t {
		if len(key) > maxShortString {
			return invalid("%s: key '%.20s...' is longer than %d bytes", what, key, maxShortString)
		}
		if err := checkValue(what, key, v, depth); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(what, key string, v any, depth int) error {
	switch v := v.(type) {
	case nil, bool, int8, uint8, int16, uint16, int32, uint32, int64, int,
		float32, float64, string, []byte, time.Time, Decimal:
		return nil
	case Table:
		return checkTable(what, v, depth+1)
	case []any:
		if depth+1 >= maxTableDepth {
			return invalid("%s: nested more than %d deep", what, maxTableDepth)
		}
		for _, e := range v {
			if err := checkValue(what, key, e, depth+1); err != nil {
				return err
			}
		}
		return nil
	case []string:
		return invalid("%s: the value of '%s' is a []string, which AMQP cannot carry; use a []any", what, key)
	default:
		return invalid("%s: the value of '%s' is a %T, which AMQP cannot carry (see pocketmq.Table)", what, key, v)
	}
}

// check reports what keeps m from being published.
func (m *Message) check() error {
	if m == nil {
		return invalid("the message is nil")
	}
	if m.isPlain() {
		return nil
	}
	if m.Expiration != "" {
		if _, err := parseExpiration(m.Expiration); err != nil {
			return err
		}
	}
	if m.DeliveryMode > Persistent {
		return preconditionFailed("invalid message: {delivery_mode_unknown,%d}", m.DeliveryMode)
	}
	if err := m.checkStrings(); err != nil {
		return err
	}
	if m.Headers == nil {
		return nil
	}
	return checkTable("headers", m.Headers, 0)
}

// isPlain reports whether there is nothing in m that could be wrong, by which
// most messages are done with quickly.
func (m *Message) isPlain() bool {
	return m.Headers == nil && m.DeliveryMode <= Persistent && m.Expiration == "" &&
		len(m.ContentType)+len(m.ContentEncoding)+len(m.CorrelationID)+len(m.ReplyTo)+
			len(m.MessageID)+len(m.Type)+len(m.UserID)+len(m.AppID) <= maxShortString
}

// parseExpiration reads the property as RabbitMQ does: an integer, that may have a
// sign, of milliseconds (PUB-9, PUB-10).
func parseExpiration(s string) (time.Duration, error) {
	rest := strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+"), "0123456789")
	number := s[:len(s)-len(rest)]
	n, err := strconv.ParseInt(number, 10, 64)
	why := ""
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		why = "no_integer"
	case rest != "":
		why = fmt.Sprintf("{leftover_string,%q}", rest)
	case strings.HasPrefix(number, "-") && n != 0:
		why = fmt.Sprintf("{value_negative,-%s}", strings.TrimLeft(number, "-0"))
	case n > maxTime:
		why = fmt.Sprintf("{value_too_large,%s}", strings.TrimLeft(number, "+0"))
	default:
		return time.Duration(n) * time.Millisecond, nil
	}
	return 0, preconditionFailed("invalid expiration '%s': %s", s, why)
}

func (m *Message) checkStrings() error {
	for _, p := range [...][2]string{
		{"ContentType", m.ContentType}, {"ContentEncoding", m.ContentEncoding}, {"CorrelationID", m.CorrelationID},
		{"ReplyTo", m.ReplyTo}, {"MessageID", m.MessageID}, {"Type", m.Type}, {"UserID", m.UserID}, {"AppID", m.AppID},
	} {
		if len(p[1]) > maxShortString {
			return invalid("the message's %s has %d bytes; AMQP allows %d", p[0], len(p[1]), maxShortString)
		}
	}
	return nil
}

// moreKeys returns the routing keys that the headers CC and BCC add (ROUTE-22).
func (m *Message) moreKeys() ([]string, error) {
	var keys []string
	for _, name := range [...]string{"CC", "BCC"} {
		v, ok := m.Headers[name]
		if !ok {
			continue
		}
		list, ok := v.([]any)
		if !ok {
			return nil, preconditionFailed(`invalid message: {unacceptable_type_in_header,"%s",%s}`, name, typeName(v))
		}
		for _, e := range list {
			if key, ok := e.(string); ok { // others are skipped (ROUTE-25)
				keys = append(keys, key)
			}
		}
	}
	return keys, nil
}

// withoutBCC returns m as its receivers may see it (ROUTE-23).
func (m *Message) withoutBCC() *Message {
	if _, ok := m.Headers["BCC"]; !ok {
		return m
	}
	seen := m.withHeaders()
	delete(seen.Headers, "BCC")
	keys, _ := m.Headers["BCC"].([]any)
	for _, e := range keys {
		if key, ok := e.(string); ok {
			seen.origin.bcc = append(seen.origin.bcc, key)
		}
	}
	return seen
}

// withHeaders returns a copy of m with headers that may be changed.
func (m *Message) withHeaders() *Message {
	own := *m
	own.Headers = maps.Clone(m.Headers)
	if own.Headers == nil {
		own.Headers = Table{}
	}
	own.origin = &origin{message: &own, changed: true}
	own.origin.properties, _ = m.receivedProperties()
	if o := m.own(); o != nil {
		own.origin.bcc, own.origin.dead, own.origin.rerouted = o.bcc, o.dead, o.rerouted
	}
	return &own
}

// hasPriority reports whether m has a priority; one of 0 can only be told from none
// if it came over a connection.
func (m *Message) hasPriority() bool {
	const flag = 1 << 3 // in the first octet of the encoded properties
	o := m.own()
	return m.Priority > 0 || o != nil && len(o.properties) > 0 && o.properties[0]&flag != 0
}

// typeName is RabbitMQ's name of the wire type of a table value.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "void"
	case bool:
		return "bool"
	case int8:
		return "byte"
	case uint8:
		return "unsignedbyte"
	case int16:
		return "short"
	case uint16:
		return "unsignedshort"
	case int32:
		return "signedint"
	case uint32:
		return "unsignedint"
	case int64, int:
		return "long"
	case float32:
		return "float"
	case float64:
		return "double"
	case string:
		return "longstr"
	case []byte:
		return "binary"
	case time.Time:
		return "timestamp"
	case Decimal:
		return "decimal"
	case Table:
		return "table"
	case []any:
		return "array"
	default:
		return fmt.Sprintf("%T", v)
	}
}
