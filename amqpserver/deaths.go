package amqpserver

import (
	"maps"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// deathFields are the fields of an entry of x-death as RabbitMQ writes them (DLX-8). All
// other tables have their fields in order.
var deathFields = []string{
	"original-expiration", "count", "reason", "queue", "time", "exchange", "routing-keys",
}

// firstDeathFields are those of the first death in 3.10, until it is counted again; there
// the other entries have theirs in order.
var firstDeathFields = append(deathFields[1:len(deathFields):len(deathFields)], deathFields[0])

// withDeaths returns headers with the entries of x-death as they are written.
func (v Compatibility) withDeaths(headers pocketmq.Table) pocketmq.Table {
	deaths, _ := headers["x-death"].([]any)
	if len(deaths) == 0 {
		return headers
	}
	written := make([]any, len(deaths))
	for i, d := range deaths {
		written[i] = d
		death, ok := d.(pocketmq.Table)
		switch {
		case ok && v >= V4_0:
			written[i] = wire.Ordered{Table: death, First: deathFields}
		case ok && isFirstDeath(death, headers):
			written[i] = wire.Ordered{Table: death, First: firstDeathFields}
		}
	}
	headers = maps.Clone(headers)
	headers["x-death"] = written
	return headers
}

func isFirstDeath(death, headers pocketmq.Table) bool {
	return death["count"] == int64(1) &&
		isText(death["queue"], headers["x-first-death-queue"]) && isText(death["reason"], headers["x-first-death-reason"])
}

// isText reports whether two values are the same text. Clients may write any, also such
// as Go does not compare.
func isText(a, b any) bool {
	text, ok := a.(string)
	return ok && b == text
}
