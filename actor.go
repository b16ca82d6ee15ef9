package pocketmq

import (
	"fmt"

	"github.com/pocketmq/pocketmq/internal/hook"
)

// actor is who uses a session, as events and traced messages name it.
type actor struct {
	connection, user string
	channel          uint16
}

// inProcess is who uses a session without a connection.
var inProcess = actor{connection: "in process", user: "none"}

// nobody is the user who does what follows from something else.
const nobody = "rmq-internal"

// pid names a session as RabbitMQ names a process.
func (s *Session) pid() string { return fmt.Sprintf("<%s.1.%d.0>", hook.NodeName, s.number) }
