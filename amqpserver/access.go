package amqpserver

import (
	"errors"
	"fmt"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// The errors of deleting what is not there.
var (
	ErrNoUser  = errors.New("amqpserver: no such user")
	ErrNoVHost = errors.New("amqpserver: no such virtual host")
)

// SetUser adds a user, as the option User does, or replaces one. Connections that
// are open keep what they were allowed, until their client sends
// connection.update-secret. If an option is wrong the error names it, and nothing has
// changed.
func (s *Server) SetUser(name, password string, opts ...UserOption) error {
	if s.config == nil {
		return errNotMade
	}
	u, err := newUser(name, password, opts)
	if err != nil {
		return fmt.Errorf("amqpserver: SetUser: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[name] = u
	return nil
}

// DeleteUser removes a user, and closes the user's connections (320
// CONNECTION_FORCED). It does not wait for the clients to answer.
func (s *Server) DeleteUser(name string) error {
	if s.config == nil {
		return errNotMade
	}
	s.mu.Lock()
	_, known := s.users[name]
	delete(s.users, name)
	conns := s.admitted(func(a admission) bool { return a.user == name })
	s.mu.Unlock()
	if !known {
		return ErrNoUser
	}
	for _, c := range conns {
		c.force(connectionForced("user '%s' is deleted", name))
	}
	return nil
}

// AddVHost serves a further broker, as the option VHost does. It fails if there is a
// virtual host of this name.
func (s *Server) AddVHost(name string, b *pocketmq.Broker) error {
	if s.config == nil {
		return errNotMade
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := addVHost(s.vhosts, name, b); err != nil {
		return fmt.Errorf("amqpserver: AddVHost: %w", err)
	}
	return nil
}

// DeleteVHost removes a virtual host, and closes the connections to it (320
// CONNECTION_FORCED). It does not wait for the clients to answer. Its broker stays
// the caller's, with all that is in it but what is exclusively the connections'.
func (s *Server) DeleteVHost(name string) error {
	if s.config == nil {
		return errNotMade
	}
	s.mu.Lock()
	_, known := s.vhosts[name]
	delete(s.vhosts, name)
	conns := s.admitted(func(a admission) bool { return a.vhost == name })
	s.mu.Unlock()
	if !known {
		return ErrNoVHost
	}
	for _, c := range conns {
		c.force(connectionForced("vhost '%s' is deleted", name))
	}
	return nil
}

// user returns the user of this name, or nil.
func (s *Server) user(name string) *user {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[name]
}

// admission is what a connection is counted for.
type admission struct{ vhost, user string }

// admitted returns the connections whose admission fits; s.mu is held.
func (s *Server) admitted(fits func(admission) bool) (conns []*conn) {
	for c := range s.conns {
		if c.admission != nil && fits(*c.admission) {
			conns = append(conns, c)
		}
	}
	return conns
}

// admit counts a connection to a virtual host, unless there is none, or there are
// as many connections as are allowed (CONN-28, CONN-30 to CONN-32).
func (s *Server) admit(c *conn, vhost string) (*pocketmq.Broker, *closeError) {
	u := c.user
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.vhosts[vhost]
	switch {
	case b == nil:
		return nil, failf(wire.CodeNotAllowed, "vhost %s not found", vhost)
	case s.maxConnections > 0 && len(s.admitted(func(a admission) bool { return a.vhost == vhost })) >= s.maxConnections:
		return nil, failf(wire.CodeNotAllowed, "access to vhost '%s' refused for user '%s': connection limit (%d) is reached",
			vhost, u.name, s.maxConnections)
	case u.maxConnections > 0 && len(s.admitted(func(a admission) bool { return a.user == u.name })) >= u.maxConnections:
		return nil, failf(wire.CodeNotAllowed, "connection refused for user '%s': user connection limit (%d) is reached",
			u.name, u.maxConnections)
	case s.users[u.name] == nil: // deleted since the login
		return nil, noAccess(u, vhost)
	}
	c.admission = &admission{vhost, u.name}
	return b, nil
}

// leave ends what admit began: a connection that only waits for its end does not
// count.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.admission = nil
}

// mayOpenChannel checks the user's limit (CONN-52).
func (c *conn) mayOpenChannel() error {
	limit := c.user.maxChannels
	if limit == 0 {
		return nil
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, x := range s.admitted(func(a admission) bool { return a.user == c.user.name }) {
		n += int(x.nchannels.Load())
	}
	if n < limit {
		return nil
	}
	text := "number of channels opened for user '%s' has reached the maximum allowed user limit of (%d)"
	if s.compat >= V4_3 {
		text = "number of channels opened for user '%s' has reached the maximum allowed user limit of %d"
	}
	e := failf(wire.CodeNotAllowed, text, c.user.name, limit)
	e.noMethod = true
	return e
}

// mayAddQueue checks the virtual host's limit (QUEUE-31).
func (ch *channel) mayAddQueue(name string) error {
	c := ch.conn
	if limit := c.server.maxQueues; limit > 0 && queueCount(c.broker) >= limit {
		return preconditionFailed("cannot declare queue '%s': queue limit in vhost '%s' (%d) is reached", name, c.vhost, limit)
	}
	return nil
}
