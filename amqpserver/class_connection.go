package amqpserver

import (
	"errors"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// capabilities are those of the client that matter to the server.
type capabilities struct {
	authFailureClose bool
	blocked          bool
	cancelNotify     bool
}

// handshake brings a connection from its first byte to connection.open-ok.
func (c *conn) handshake() error {
	if limit := c.server.handshakeTimeout; limit > 0 { // CONN-6, CONN-7
		_ = c.nc.SetDeadline(time.Now().Add(limit))
	}
	if err := c.startTLS(c.ctx.Context); err != nil {
		return err
	}
	major, minor, err := c.protocolHeader()
	if err != nil {
		return err
	}
	c.in.SetFrameMax(c.server.compat.minFrameMax())
	c.out.send(0, &wire.ConnectionStart{
		VersionMajor: major, VersionMinor: minor, ServerProperties: c.server.serverProperties(major),
		Mechanisms: strings.Join(c.mechanisms(), " "), Locales: "en_US",
	})
	for _, step := range []func() error{c.startOk, c.tuneOk, c.open} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// protocolHeader reads the first eight bytes (CONN-1 to CONN-5), and returns the
// version that connection.start tells. Whoever asks for 0-8 gets the methods of
// 0-9-1, most of which are the same.
func (c *conn) protocolHeader() (major, minor uint8, err error) {
	header, err := c.in.ReadProtocolHeader()
	if err != nil {
		return 0, 0, err
	}
	switch protocol := wire.ParseProtocolHeader(header); {
	case protocol == wire.Protocol091:
		return 0, 9, nil
	case protocol == wire.Protocol08 && c.server.compat < V4_0:
		return 8, 0, nil
	}
	answer := wire.ProtocolHeader
	if c.server.compat >= V4_0 && (string(header[:6]) != "AMQP\x00\x00" || header[6] < 9) {
		answer = "AMQP\x03\x01\x00\x00"
	}
	c.out.raw([]byte(answer))
	return 0, 0, errors.New("unknown protocol header")
}

// expect reads the handshake's next method into m. A heartbeat may come in
// between; anything else ends the handshake in silence (CONN-34).
func (c *conn) expect(m wire.Method) error {
	for {
		f, err := c.in.ReadFrame()
		var bad *wire.FrameError
		switch {
		case errors.As(err, &bad):
			return errSilent
		case err != nil:
			return err
		case f.Type == wire.FrameHeartbeat && f.Channel == 0:
			continue
		case f.Type != wire.FrameMethod || f.Channel != 0:
			return errSilent
		}
		id, args := wire.SplitMethod(f.Payload)
		if id != m.ID() || m.Decode(args, &c.names) != nil {
			return errSilent
		}
		return nil
	}
}

// connection.start-ok: CONN-11 … CONN-21
func (c *conn) startOk() error {
	var m wire.ConnectionStartOk
	if err := c.expect(&m); err != nil {
		return err
	}
	known, _ := m.ClientProperties["capabilities"].(pocketmq.Table)
	has := func(name string) bool {
		on, _ := known[name].(bool)
		return on
	}
	u, err := c.login(m.Mechanism, m.Response)
	c.mu.Lock()
	c.properties, c.user, c.mechanism = m.ClientProperties, u, m.Mechanism
	c.capabilities = capabilities{
		authFailureClose: has("authentication_failure_close"),
		blocked:          has("connection.blocked"),
		cancelNotify:     has("consumer_cancel_notify"),
	}
	c.mu.Unlock()
	if why := refusal(""); errors.As(err, &why) {
		c.server.log.Warn("login refused", logConn(c), "mechanism", m.Mechanism, "reason", string(why))
		if c.capabilities.authFailureClose {
			return c.refuseLogin(m.Mechanism)
		}
	}
	if err != nil {
		return errSilent
	}
	c.out.send(0, &wire.ConnectionTune{
		ChannelMax: uint16(c.server.channelMax), FrameMax: uint32(c.server.frameMax),
		Heartbeat: uint16(c.server.heartbeat / time.Second),
	})
	return nil
}

// refuseLogin tells a client of its wrong password that asked to be told
// (CONN-18). Like RabbitMQ it does not wait for an answer, but does not let the
// next attempt come at once either.
func (c *conn) refuseLogin(mechanism string) error {
	e := accessRefused("Login was refused using authentication mechanism %s. For details see the broker logfile.", mechanism)
	c.out.send(0, &wire.ConnectionClose{ReplyCode: e.code, ReplyText: e.Error()})
	c.readUntil(silentDelay, func(id wire.ID) bool { return id == wire.IDConnectionCloseOk })
	return errors.New(e.Error()) // no closeError: it was told
}

// connection.tune-ok: CONN-22 … CONN-27
func (c *conn) tuneOk() error {
	var m wire.ConnectionTuneOk
	if err := c.expect(&m); err != nil {
		return err
	}
	s := c.server
	if exceeds(m.FrameMax, uint32(s.frameMax)) || m.FrameMax != 0 && m.FrameMax < s.compat.minFrameMax() ||
		exceeds(uint32(m.ChannelMax), uint32(s.channelMax)) {
		return errSilent
	}
	c.mu.Lock()
	c.frameMax, c.channelMax, c.heartbeat = m.FrameMax, m.ChannelMax, time.Duration(m.Heartbeat)*time.Second
	c.mu.Unlock()
	c.in.SetFrameMax(m.FrameMax)
	c.out.mu.Lock()
	c.out.frameMax = m.FrameMax
	c.out.mu.Unlock()
	c.beat.Store(int64(c.heartbeat / 2))
	c.out.wakeWriter()
	return nil
}

// exceeds compares two limits, of which 0 is none.
func exceeds(limit, than uint32) bool { return than != 0 && (limit == 0 || limit > than) }

// connection.open: CONN-28 … CONN-33
func (c *conn) open() error {
	m, err := c.expectOpen()
	// From here on errors are told, and the client answers in its own time.
	_ = c.nc.SetDeadline(time.Time{})
	if err != nil {
		return err
	}
	if err := c.enter(m.VirtualHost); err != nil {
		err.method = wire.IDConnectionOpen
		return err
	}
	c.silence = c.heartbeat * 5 / 2 // between two and three intervals
	// Since 4.3 queues look for timeouts themselves; from 4.0 on one may have its own where the server has none.
	if c.server.compat < V4_3 && (c.server.consumerTimeout > 0 || c.server.compat >= V4_0) {
		c.tick = time.Now().Add(tickInterval)
	}
	c.setState(stateRunning)
	c.out.send(0, &wire.ConnectionOpenOk{})
	c.tellOpened()
	return nil
}

// expectOpen reads connection.open. Unlike the steps before it, a client who has
// logged in is told what else was wrong with it.
func (c *conn) expectOpen() (*wire.ConnectionOpen, error) {
	for {
		f, err := c.in.ReadFrame()
		switch {
		case err != nil:
			return nil, err
		case f.Channel != 0:
			return nil, misplaced(f)
		case f.Type == wire.FrameHeartbeat:
			continue
		case f.Type != wire.FrameMethod:
			return nil, misplaced(f)
		}
		m, err := c.controlMethod(f)
		if err == errMalformed {
			return nil, errSilent
		}
		if err != nil {
			return nil, err
		}
		if open, ok := m.(*wire.ConnectionOpen); ok {
			return open, nil
		}
		return nil, withMethod(channelError("unexpected method in connection state opening"), m.ID())
	}
}

// enter gives the connection its virtual host (CONN-32).
func (c *conn) enter(vhost string) *closeError {
	b, err := c.server.admit(c, vhost)
	if err != nil {
		return err
	}
	p, ok := c.user.permissionsIn(vhost)
	if !ok {
		return noAccess(c.user, vhost)
	}
	if isClosed(b) {
		return failf(wire.CodeInternalError, "access to vhost '%s' refused for user '%s': vhost '%s' is down",
			vhost, c.user.name, vhost)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vhost, c.broker, c.permissions = vhost, b, p
	c.session = c.newSession(b)
	return nil
}

func noAccess(u *user, vhost string) *closeError {
	return failf(wire.CodeNotAllowed, "access to vhost '%s' refused for user '%s'", vhost, u.name)
}

// connectionMethod handles a method on channel 0 of a running connection
// (CONN-35).
func (c *conn) connectionMethod(f wire.Frame) error {
	m, err := c.controlMethod(f)
	if err == errMalformed {
		return internalError()
	}
	if err != nil {
		return err
	}
	switch m.(type) {
	case *wire.ConnectionClose:
		return c.connectionClose()
	case *wire.ConnectionUpdateSecret:
		return c.updateSecret()
	default:
		return withMethod(channelError("unexpected method in connection state running"), m.ID())
	}
}

// errMalformed says that a method on channel 0 cannot be decoded.
var errMalformed = errors.New("malformed arguments")

// controlMethod decodes a method on channel 0. Unlike on others, a client is not told
// which arguments were malformed (CONN-44), but which method had a text that is not
// UTF-8 (CONN-46).
func (c *conn) controlMethod(f wire.Frame) (wire.Method, error) {
	m, err := wire.DecodeMethod(f.Payload, &c.names)
	if err == nil {
		return m, nil
	}
	if errors.Is(err, wire.ErrArguments) || errors.Is(err, wire.ErrTable) {
		return nil, errMalformed
	}
	id, args := wire.SplitMethod(f.Payload)
	e := methodError(err, args)
	e.method = id
	e.noMethod = false
	return nil, e
}

// connection.close: CONN-68
func (c *conn) connectionClose() error {
	c.handOut()
	c.endSessions()
	c.out.send(0, &wire.ConnectionCloseOk{})
	return errOrderly
}

// connection.update-secret: CONN-83. Passwords do not expire here, so the secret means
// nothing; but what SetUser has changed since is in force now.
func (c *conn) updateSecret() error {
	if err := c.renewUser(); err != nil {
		return withMethod(err, wire.IDConnectionUpdateSecret)
	}
	c.out.send(0, &wire.ConnectionUpdateSecretOk{})
	if c.server.compat >= V4_3 {
		c.cancelUnreadable()
	}
	return nil
}
