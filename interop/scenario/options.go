package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// options are the NAME=VALUE words of a line that is not a method.
type options map[string]string

func newOptions(words, known []string) (options, error) {
	o := options{}
	for _, a := range assignments(words) {
		if !slices.Contains(known, a.name) {
			return nil, fmt.Errorf("%s is not one of: %s", a.name, strings.Join(known, " "))
		}
		value, err := text(a.value)
		if err != nil {
			return nil, err
		}
		o[a.name] = value
	}
	return o, nil
}

func (o options) get(name, otherwise string) string {
	if v, ok := o[name]; ok {
		return v
	}
	return otherwise
}

// number is an option that is a number; ok is false if it is not set.
func (o options) number(name string) (n int, ok bool, err error) {
	v, ok := o[name]
	if !ok {
		return 0, false, nil
	}
	n, err = strconv.Atoi(v)
	return n, true, err
}

var (
	givenOptions = map[string][]string{
		"user":              {"password", "tags", "max-connections", "max-channels"},
		"vhost":             {"max-connections", "max-queues"},
		"permissions":       {"vhost", "configure", "write", "read"},
		"topic-permissions": {"vhost", "exchange", "write", "read"},
		"policy":            {"vhost", "pattern", "definition", "priority", "apply-to"},
		"events":            {},
		"operator-policy":   {"vhost", "pattern", "definition", "priority", "apply-to"},
	}
	connOptions  = []string{"user", "password", "vhost", "heartbeat", "frame-max", "channel-max", "capabilities", "channels", "answers"}
	tcpOptions   = []string{"answers"}
	frameOptions = []string{"type", "payload", "end"}
)
