package amqptest

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// namedFault is a fault for the methods of one name.
type namedFault struct {
	name  string
	fault func(*Method) error
}

// named limits a fault to the methods of a name, of which there must be some.
func named(name string, fault func(*Method) error) func(*Method) error {
	checkName(name)
	return (&namedFault{name, fault}).see
}

func (n *namedFault) see(m *Method) error {
	switch {
	case m == &question:
		return answer(n.name)
	case m.Name != n.name:
		return nil
	}
	return n.fault(m)
}

// question is shown to a named fault to learn its name, and answer is what it returns:
// a function tells nothing else of itself.
var question Method

type answer string

func (a answer) Error() string { return string(a) }

// codeOfNamed is what all named faults have in common, and no other function has.
var codeOfNamed = reflect.ValueOf((*namedFault)(nil).see).Pointer()

// nameOf returns the name for which a fault is, if named made it. No other is asked.
func nameOf(fault func(*Method) error) (name string, ok bool) {
	if reflect.ValueOf(fault).Pointer() != codeOfNamed {
		return "", false
	}
	a, ok := fault(&question).(answer)
	return string(a), ok
}

// ofBoth are the methods that both sides send.
var ofBoth = map[string]bool{
	"connection.close": true, "connection.close-ok": true, "channel.close": true, "channel.close-ok": true,
	"basic.cancel": true, "basic.cancel-ok": true, "basic.ack": true, "basic.nack": true,
}

// ofServer are the methods that only the server sends, besides answers, whose names end
// with -ok.
var ofServer = map[string]bool{
	"connection.blocked": true, "connection.unblocked": true,
	"basic.return": true, "basic.deliver": true, "basic.get-empty": true,
}

// mayCome reports whether the server, or a client, sends methods of this name.
func mayCome(name string, fromServer bool) bool {
	return ofBoth[name] || fromServer == (ofServer[name] || strings.HasSuffix(name, "-ok"))
}

// checkName panics if a fault for methods of this name would never see one.
func checkName(name string) {
	switch wire.IDOf(name) {
	case 0:
		panic(fmt.Sprintf("amqptest: AMQP has no method %q; names are like basic.publish and queue.declare-ok", name))
	case wire.IDConnectionStart, wire.IDConnectionStartOk, wire.IDConnectionSecure, wire.IDConnectionSecureOk,
		wire.IDConnectionTune, wire.IDConnectionTuneOk, wire.IDConnectionOpen, wire.IDConnectionOpenOk:
		panic(fmt.Sprintf("amqptest: %s belongs to the handshake, which faults do not see; RefuseDials keeps clients out", name))
	}
}
