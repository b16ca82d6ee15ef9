package amqpserver

import (
	"errors"
	"fmt"
	"slices"
)

// user is a user of the server. It does not change.
type user struct {
	name, password string
	tags           []string
	loopbackOnly   bool
	maxConnections int                    // 0 = any number
	maxChannels    int                    // of all connections; 0 = any number
	permissions    map[string]permissions // by virtual host; nil = everything everywhere
	topics         map[topicResource]topicPermissions
	err            error // the first of its options that was wrong
}

func (u *user) hasTag(tag string) bool { return slices.Contains(u.tags, tag) }

func newUser(name, password string, opts []UserOption) (*user, error) {
	u := &user{name: name, password: password}
	for _, o := range opts {
		if o != nil {
			o(u)
		}
	}
	if name == "" {
		return nil, errors.New("a user needs a name")
	}
	if u.err != nil {
		return nil, fmt.Errorf("%q: %w", name, u.err)
	}
	setLimit(&u.maxConnections, 0)
	setLimit(&u.maxChannels, 0)
	return u, nil
}

// wrong notes what is wrong with an option of the user's.
func (u *user) wrong(option string, err error) {
	if u.err == nil {
		u.err = fmt.Errorf("%s: %w", option, err)
	}
}

// UserOption configures a User, or a user that SetUser adds. What is said of Option
// about 0 and about errors holds for it, too.
type UserOption func(*user)

// Tags sets a user's tags. To AMQP only impersonator means something: its
// user-id property may be any name. A management interface may know others.
func Tags(tags ...string) UserOption {
	return func(u *user) { u.tags = slices.Clone(tags) }
}

// LoopbackOnly refuses the user's logins from other machines.
func LoopbackOnly() UserOption { return func(u *user) { u.loopbackOnly = true } }

// UserMaxConnections sets how many open connections the user may have; any number by
// default.
func UserMaxConnections(n int) UserOption { return func(u *user) { u.maxConnections = n } }

// UserMaxChannels sets how many channels the user may have open, in all connections
// together; any number by default.
func UserMaxChannels(n int) UserOption { return func(u *user) { u.maxChannels = n } }

// Permissions lets a user do in a virtual host what the three regular
// expressions say of the names of exchanges and queues: whether they may be
// declared and deleted, written to, and read from. A pattern may match any part
// of a name; "" matches none. A user with a Permissions option has no access to
// virtual hosts that are not named in one. They may be added later, so a name that
// no virtual host has is no error.
func Permissions(vhost, configure, write, read string) UserOption {
	return func(u *user) {
		p, err := newPermissions(configure, write, read)
		if err != nil {
			u.wrong("Permissions", err)
			return
		}
		if u.permissions == nil {
			u.permissions = map[string]permissions{}
		}
		u.permissions[vhost] = p
	}
}

// TopicPermissions limits a user further in what routing keys to publish with to
// a topic exchange, and what keys to bind from it with. The expressions may
// contain {username} and {vhost}. Where none is given for an exchange there is
// no limit.
func TopicPermissions(vhost, exchange, write, read string) UserOption {
	return func(u *user) {
		p, err := newTopicPermissions(u.expand(write, vhost), u.expand(read, vhost))
		if err != nil {
			u.wrong("TopicPermissions", err)
			return
		}
		if u.topics == nil {
			u.topics = map[topicResource]topicPermissions{}
		}
		u.topics[topicResource{vhost, exchange}] = p
	}
}
