package amqpserver

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// errSilent ends a handshake that failed in a way of which the client is told
// nothing: the connection is dropped after a while.
var errSilent = errors.New("the handshake failed")

// refusal is why somebody may not log in: for the log, not for the client.
type refusal string

func (r refusal) Error() string { return string(r) }

func refusef(format string, args ...any) refusal { return refusal(fmt.Sprintf(format, args...)) }

// mechanisms lists what connection.start offers (CONN-8, CONN-16).
func (c *conn) mechanisms() []string {
	offered := []string{"PLAIN", "AMQPLAIN"}
	if c.server.compat >= V4_0 {
		offered = []string{"ANONYMOUS", "AMQPLAIN", "PLAIN"} // in its order
	}
	if c.certificateUser != "" {
		offered = append(offered, "EXTERNAL")
	}
	return offered
}

// login finds the user who logs in. The error is errSilent if the attempt is
// malformed, and a refusal if the credentials are wrong.
func (c *conn) login(mechanism, response string) (*user, error) {
	if !slices.Contains(c.mechanisms(), mechanism) {
		return nil, errSilent // CONN-13
	}
	switch mechanism {
	case "PLAIN":
		name, password, ok := parsePlain(response)
		if !ok {
			return nil, errSilent
		}
		return c.authenticate(name, password)
	case "AMQPLAIN":
		name, password, ok := parseAMQPLAIN(response)
		if !ok {
			return nil, errSilent
		}
		return c.authenticate(name, password)
	case "ANONYMOUS": // as RabbitMQ's default has it: who may log in as guest with that password
		return c.authenticate("guest", "guest")
	default: // EXTERNAL
		u := c.server.user(c.certificateUser)
		if u == nil {
			return nil, refusef("there is no user %.255q, as the certificate says", c.certificateUser)
		}
		return c.admit(u)
	}
}

// parsePlain takes NUL user NUL password apart (CONN-14).
func parsePlain(response string) (name, password string, ok bool) {
	parts := bytes.Split([]byte(response), []byte{0})
	if len(parts) != 3 || len(parts[0]) > 0 {
		return "", "", false
	}
	return string(parts[1]), string(parts[2]), true
}

// parseAMQPLAIN reads a table without its length (CONN-15).
func parseAMQPLAIN(response string) (name, password string, ok bool) {
	t, err := wire.ReadTableBody([]byte(response))
	if err != nil {
		return "", "", false
	}
	name, okName := t["LOGIN"].(string)
	password, okPassword := t["PASSWORD"].(string)
	return name, password, okName && okPassword
}

// authenticate checks a password; to the client an unknown user is no different from
// a wrong password (CONN-20), and an empty password is wrong.
func (c *conn) authenticate(name, password string) (*user, error) {
	u := c.server.user(name)
	if u == nil {
		return nil, refusef("there is no user %.255q", name)
	}
	if u.password == "" || subtle.ConstantTimeCompare([]byte(u.password), []byte(password)) != 1 {
		return nil, refusef("wrong password of user %q", u.name)
	}
	return c.admit(u)
}

// admit checks what has nothing to do with credentials (CONN-21).
func (c *conn) admit(u *user) (*user, error) {
	if u.loopbackOnly && !isLoopback(c.nc.RemoteAddr()) {
		return nil, refusef("user %q may only log in from this machine", u.name)
	}
	return u, nil
}

// isLoopback reports whether the peer is on this machine, as whoever does not
// come over TCP is.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// startTLS ends the handshake of a TLS connection, and finds the user whose
// certificate was verified, if there is one.
func (c *conn) startTLS(ctx context.Context) error {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	if chains := t.ConnectionState().VerifiedChains; len(chains) > 0 {
		c.certificateUser = chains[0][0].Subject.CommonName
	}
	return nil
}
