package amqpserver_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/amqpserver"
	"github.com/pocketmq/pocketmq/internal/memconn"
)

func TestAddressesInEventsLookAsInErlang(t *testing.T) { // XPLUG-15
	for want, a := range map[string]net.Addr{
		"{127,0,0,1}":             &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5672},
		"{8193,3512,0,0,0,0,0,1}": &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5672},
		"broker":                  memconn.Addr{Host: "broker", Port: 5672},
	} {
		host, port := amqpserver.HostPort(a)
		require.Equal(t, want, host)
		require.EqualValues(t, 5672, port)
	}
	host, port := amqpserver.HostPort(&net.UnixAddr{Name: "/tmp/socket", Net: "unix"})
	require.Empty(t, host)
	require.Zero(t, port)
}
