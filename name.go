package pocketmq

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// trimName removes what RabbitMQ removes from names (EXCH-16).
func trimName(name string) string {
	if !strings.ContainsAny(name, "\r\n") {
		return name
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(name)
}

func checkName(what, name string) error {
	switch {
	case len(name) > maxShortString:
		return invalid("the %s name '%.20s...' has %d bytes; AMQP allows %d", what, name, len(name), maxShortString)
	case !utf8.ValidString(name):
		return invalid("the %s name %q is not valid UTF-8", what, name)
	}
	return nil
}

func checkKey(what, key string) error {
	if len(key) > maxShortString {
		return invalid("the %s has %d bytes; AMQP allows %d", what, len(key), maxShortString)
	}
	return nil
}

// randomName returns the 22 characters with which names end that the broker makes up.
func randomName() string {
	id := uuid.New()
	return base64.RawURLEncoding.EncodeToString(id[:])
}
