package amqpserver

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/pocketmq/pocketmq"
)

// pattern is a regular expression that resource names are searched for (PERM-2).
type pattern struct {
	all    bool           // matches any name, which needs no search
	regexp *regexp.Regexp // nil = matches none
}

func newPattern(s string) (pattern, error) {
	switch s {
	case "":
		return pattern{}, nil
	case ".*", "^.*$":
		return pattern{all: true}, nil
	}
	re, err := regexp.Compile(s)
	return pattern{regexp: re}, err
}

func (p *pattern) match(name string) bool {
	return p.all || p.regexp != nil && p.regexp.MatchString(name)
}

// permissions are a user's in one virtual host.
type permissions struct{ configure, write, read pattern }

func newPermissions(configure, write, read string) (p permissions, err error) {
	var errs [3]error
	p.configure, errs[0] = newPattern(configure)
	p.write, errs[1] = newPattern(write)
	p.read, errs[2] = newPattern(read)
	return p, cmp.Or(errs[:]...)
}

var everything = permissions{pattern{all: true}, pattern{all: true}, pattern{all: true}}

// permissionsIn returns what the user may do in a virtual host; ok is false if
// there is no access to it at all.
func (u *user) permissionsIn(vhost string) (p permissions, ok bool) {
	if u.permissions == nil {
		return everything, true
	}
	p, ok = u.permissions[vhost]
	return p, ok
}

// renewUser makes the connection's user the one that there is now. Whether there is
// still access to the virtual host is looked at from 4.3 on.
func (c *conn) renewUser() error {
	u := c.server.user(c.user.name)
	if u == nil {
		return nil // its connections are being closed
	}
	p, ok := u.permissionsIn(c.vhost)
	if !ok && c.server.compat >= V4_3 {
		return noAccess(u, c.vhost)
	}
	c.mu.Lock()
	c.user, c.permissions = u, p
	c.mu.Unlock()
	for _, ch := range c.channels {
		ch.mayWriteX = noExchange
	}
	return nil
}

// cancelUnreadable cancels the consumers of queues that may not be read any more.
func (c *conn) cancelUnreadable() {
	if c.permissions.read.all {
		return
	}
	c.handOut()
	for _, ch := range c.channels {
		ch.cancelUnreadable()
	}
}

func (ch *channel) cancelUnreadable() {
	ch.mu.Lock()
	var lost []*consumer
	for _, k := range ch.consumers {
		if !k.replies && !ch.conn.permissions.read.match(k.queue) {
			lost = append(lost, k)
			k.ended(pocketmq.ErrCanceled)
		}
	}
	ch.mu.Unlock()
	for _, k := range lost {
		k.core.Cancel()
	}
}

type topicResource struct{ vhost, exchange string }

type topicPermissions struct{ write, read pattern }

func newTopicPermissions(write, read string) (p topicPermissions, err error) {
	var errs [2]error
	p.write, errs[0] = newPattern(write)
	p.read, errs[1] = newPattern(read)
	return p, cmp.Or(errs[:]...)
}

// expand fills in the variables of a topic permission (PERM-14).
func (u *user) expand(p, vhost string) string {
	return strings.NewReplacer("{username}", regexp.QuoteMeta(u.name), "{vhost}", regexp.QuoteMeta(vhost)).Replace(p)
}

// mayConfigure, mayWrite and mayRead check access to an exchange or a queue
// (PERM-4 to PERM-9).
func (ch *channel) mayConfigure(noun, name string) error {
	return ch.may(&ch.conn.permissions.configure, "configure", noun, name)
}

func (ch *channel) mayWrite(noun, name string) error {
	return ch.may(&ch.conn.permissions.write, "write", noun, name)
}

func (ch *channel) mayRead(noun, name string) error {
	return ch.may(&ch.conn.permissions.read, "read", noun, name)
}

func (ch *channel) may(p *pattern, kind, noun, name string) error {
	if p.all {
		return nil
	}
	if noun == "exchange" && name == "" {
		name = "amq.default" // PERM-5
	}
	if p.match(name) {
		return nil
	}
	return accessRefused("%saccess to %s '%s' in vhost '%s' refused for user '%s'",
		ch.accessKind(kind), noun, name, ch.conn.vhost, ch.conn.user.name)
}

// accessKind is how refusals begin since 4.0.
func (ch *channel) accessKind(kind string) string {
	if ch.conn.server.compat >= V4_0 {
		return kind + " "
	}
	return ""
}

// mayWriteTopic and mayReadTopic check a routing key of a topic exchange
// (PERM-13); other kinds of exchanges know no such limit.
func (ch *channel) mayWriteTopic(exchange, key string) error {
	return ch.mayTopic("write", exchange, key, func(p *topicPermissions) *pattern { return &p.write })
}

func (ch *channel) mayReadTopic(exchange, key string) error {
	return ch.mayTopic("read", exchange, key, func(p *topicPermissions) *pattern { return &p.read })
}

func (ch *channel) mayTopic(kind, exchange, key string, which func(*topicPermissions) *pattern) error {
	c := ch.conn
	if c.user.topics == nil {
		return nil
	}
	p, limited := c.user.topics[topicResource{c.vhost, exchange}]
	if !limited || which(&p).match(key) || !ch.isTopic(exchange) {
		return nil
	}
	return accessRefused("%saccess to topic '%s' in exchange '%s' in vhost '%s' refused for user '%s'",
		ch.accessKind(kind), key, exchange, c.vhost, c.user.name)
}
