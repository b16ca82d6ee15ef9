package amqpserver

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
)

// What connections and channels tell those who look for events (XPLUG-15); see
// pocketmq.Events.

// tellOpened tells that the connection is open.
func (c *conn) tellOpened() {
	hook.Event(c.session, "connection.created", func() pocketmq.Table {
		_, encrypted := c.nc.(*tls.Conn)
		host, port := hostPort(c.nc.LocalAddr())
		peerHost, peerPort := hostPort(c.nc.RemoteAddr())
		return c.withProperties(pocketmq.Table{
			"type": "network", "name": c.name, "port": port, "peer_port": peerPort, "host": host, "peer_host": peerHost,
			"ssl": encrypted, "peer_cert_subject": "", "peer_cert_issuer": "", "peer_cert_validity": "",
			"ssl_protocol": "", "ssl_key_exchange": "", "ssl_cipher": "", "ssl_hash": "",
			"auth_mechanism": c.mechanism, "protocol": "{0,9,1}", "user": c.user.name, "vhost": c.vhost,
			"timeout": int64(c.heartbeat.Seconds()), "frame_max": int64(c.frameMax), "channel_max": int64(c.channelMax),
			"connected_at": c.connectedAt.UnixMilli(), "node": hook.NodeName, "user_who_performed_action": c.user.name,
		})
	})
}

// tellClosed tells that the connection is not open any more, if it was.
func (c *conn) tellClosed() {
	if c.session != nil {
		hook.Event(c.session, "connection.closed", func() pocketmq.Table {
			return c.withProperties(pocketmq.Table{"name": c.name, "node": hook.NodeName})
		})
	}
}

// withProperties adds what the client said of itself.
func (c *conn) withProperties(headers pocketmq.Table) pocketmq.Table {
	if name, ok := c.properties["connection_name"].(string); ok {
		headers["user_provided_name"] = name
	}
	headers["client_properties"] = hook.ErlangArguments(c.properties)
	return headers
}

func (ch *channel) tellOpened() {
	c := ch.conn
	hook.Event(ch.session, "channel.created", func() pocketmq.Table {
		return pocketmq.Table{
			"name": fmt.Sprintf("%s (%d)", c.name, ch.id), "connection": hook.PID(c.session), "number": int64(ch.id),
			"user": c.user.name, "vhost": c.vhost, "user_who_performed_action": c.user.name,
		}
	})
}

func (ch *channel) tellClosed() {
	hook.Event(ch.session, "channel.closed", func() pocketmq.Table {
		headers := pocketmq.Table{"user_who_performed_action": ch.conn.user.name}
		if ch.conn.server.compat >= V4_0 {
			headers["consumer_count"] = int64(ch.ended)
		}
		return headers
	})
}

// hostPort takes an address apart. An IP address looks as in Erlang.
func hostPort(a net.Addr) (host string, port int64) {
	host, digits, _ := net.SplitHostPort(a.String())
	port, _ = strconv.ParseInt(digits, 10, 64) // 0 if it has none
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host, port
	}
	var parts []string
	switch octets := ip.Unmap().AsSlice(); len(octets) {
	case net.IPv4len:
		for _, o := range octets {
			parts = append(parts, strconv.Itoa(int(o)))
		}
	default:
		for i := 0; i < len(octets); i += 2 {
			parts = append(parts, strconv.Itoa(int(octets[i])<<8|int(octets[i+1])))
		}
	}
	return "{" + strings.Join(parts, ",") + "}", port
}
