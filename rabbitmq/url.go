package rabbitmq

import (
	"math"
	"net/url"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

// parameters are those that a URL may have in its query.
var parameters = map[string]bool{
	"heartbeat": true, "channel_max": true, "auth_mechanism": true,
	"cacertfile": true, "certfile": true, "keyfile": true, "server_name_indication": true,
}

// The errors of URLs do not say where they are wrong: what looks like the query may be
// the rest of a password.
var (
	errURL = hook.Error(pocketmq.ErrInvalid, pocketmq.CodeSyntaxError,
		"the URL must be like amqp://user:password@host:5672/vhost, or amqps; what is reserved in the names is percent-encoded")
	errParameter = hook.Error(pocketmq.ErrInvalid, pocketmq.CodeSyntaxError,
		"the URL has a query parameter that means nothing here; there are heartbeat, channel_max, auth_mechanism, cacertfile, "+
			"certfile with keyfile, and server_name_indication, each once")
	errTimeoutParameter = notSupported("the URL has the query parameter connection_timeout: the context bounds how long connecting may take")
)

// checkURL refuses what amqp091 would, and what it would ignore.
func checkURL(raw string) error {
	if uri, err := amqp.ParseURI(raw); err != nil || uri.Port < 1 || uri.Port > math.MaxUint16 {
		return errURL
	}
	u, err := url.Parse(raw)
	if err != nil || u.Fragment != "" {
		return errURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch {
	case err != nil:
		return errURL
	case query.Has("connection_timeout"):
		return errTimeoutParameter
	case query.Has("certfile") != query.Has("keyfile"):
		return errParameter
	}
	for name, values := range query {
		if !parameters[name] || len(values) != 1 && name != "auth_mechanism" {
			return errParameter
		}
	}
	return nil
}
