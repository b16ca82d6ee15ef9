package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq"
)

// program is a running pocketmq.
type program struct {
	ready string // the line it printed
	end   func() error
	log   *log
}

// log is what the program writes to standard error.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs the program until end is called, or the test ends, and waits for
// its line.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	result := make(chan error, 1)
	p := &program{log: new(log)}
	go func() {
		err := run(ctx, args, w, p.log)
		w.CloseWithError(io.EOF)
		result <- err
	}()
	p.end = sync.OnceValue(func() error {
		cancel()
		rest, _ := io.ReadAll(r)
		assert.Empty(t, string(rest), "one line is all")
		return <-result
	})
	t.Cleanup(func() { _ = p.end() })
	line, err := bufio.NewReader(io.LimitReader(r, 1000)).ReadString('\n')
	require.NoError(t, err, "log: %v", p.log)
	p.ready = strings.TrimSuffix(line, "\n")
	return p
}

// fails runs the program, which must end by itself, and returns its error and
// what it wrote.
func fails(t *testing.T, args ...string) (stderr string, err error) {
	t.Helper()
	var out, log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = run(ctx, args, &out, &log)
	assert.Empty(t, out.String())
	return log.String(), err
}

// greet begins an AMQP connection and returns the server's first frame.
func greet(t *testing.T, c net.Conn) string {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(c, "AMQP\x00\x00\x09\x01")
	require.NoError(t, err)
	b := make([]byte, 400)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	return string(b)
}

var readyLine = regexp.MustCompile(`^pocketmq \S+ is ready at amqp://(127\.0\.0\.1:\d+) \(vhost /, RabbitMQ 4\.0 semantics\)$`)

func TestRun(t *testing.T) {
	p := start(t, "-amqp", "127.0.0.1:0")
	found := readyLine.FindStringSubmatch(p.ready)
	require.NotNil(t, found, p.ready)
	c, err := net.Dial("tcp", found[1])
	require.NoError(t, err)
	assert.Contains(t, greet(t, c), "publisher_confirms")
	require.NoError(t, c.Close())
	require.NoError(t, p.end())
	_, err = net.Dial("tcp", found[1])
	assert.Error(t, err, "it listens no longer")
}

func TestVHostsAndVersion(t *testing.T) {
	p := start(t, "-amqp", "127.0.0.1:0", "-vhost", "orders", "-vhost", "mail", "-compat", "3.10")
	assert.True(t, strings.HasSuffix(p.ready, "(vhosts /, orders, mail, RabbitMQ 3.10 semantics)"), p.ready)
}

func TestAPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = fails(t, "-amqp", l.Addr().String())
	assert.EqualError(t, err, l.Addr().String()+" is in use, perhaps by a RabbitMQ or another pocketmq: "+
		"stop it, or choose another address; -amqp 127.0.0.1:0 picks a free port")
}

func TestWrongArguments(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"serve", `unexpected argument "serve"`},
		{"-nonsense", "-nonsense"},
		{"-compat 3.8", "-compat 3.8: want 3.10, 4.0 or 4.3"},
		{"-user guest", "want name:password"},
		{"-amqp=", "nothing to listen on"},
		{"-amqps 127.0.0.1:0", "-amqps needs a certificate"},
		{"-tls-cert c.pem", "a certificate without an address"},
		{"-user guest:", "want name:password"},
		{"-user a:1 -user b:2 -user a:3", `there is a user "a" already`},
		{"-channel-max 65536", "pocketmq: -channel-max: 65536 is more than AMQP can number"},
		{"-frame-max 100", "pocketmq: -frame-max: 100 is less than the 4096 bytes"},
		{"-frame-max 4096 -compat 4.3", "pocketmq: -frame-max: 4096 is less than the 8192 bytes"},
		{"-heartbeat 1500ms", "pocketmq: -heartbeat: 1.5s is not in whole seconds"},
		{"-heartbeat 5", "want a time, such as 60s"},
		{"-heartbeat 19h", "pocketmq: -heartbeat: 19h0m0s is more than AMQP can tell"},
		{"-consumer-timeout soon", "want a time, such as 60s"},
		{"-max-message-size 1GiB", "pocketmq: -max-message-size: 1073741824 is more than RabbitMQ allows"},
		{"-consumer-timeout -5m", "want a time, such as 60s or 30m, or -1 for none"},
		{"-heartbeat 0", "want a time, such as 60s or 30m, or -1 for none"},
		{"-memory-limit 0", "or -1 for no limit"},
		{"-max-queues 0", "want a number, 1 or more, or -1 for no limit"},
		{"-max-connections x", "want a number, 1 or more, or -1 for no limit"},
		{"-channel-max -2", "want a number, 1 or more, or -1 for no limit"},
		{"-frame-max 0", "want a number, 1 or more, or -1 for no limit"},
		{"-memory-limit 512", "want such as 512MiB"},
		{"-vhost=", "want a name"},
		{"-vhost a -vhost a", `there is a virtual host "a" already`},
		{"-vhost /", `there is a virtual host "/" already`},
		{"-memory-limit lots", "such as 1000000, 512MiB or 2GiB"},
		{"-log-level loud", "want debug, info, warn or error"},
	} {
		stderr, err := fails(t, strings.Fields(c.args)...)
		assert.ErrorIs(t, err, errUsage, c.args)
		assert.Contains(t, stderr, c.want, c.args)
		assert.Regexp(t, `^pocketmq: .*; -h lists all flags\n$`, stderr, "one line")
	}
}

func TestHelpAndVersion(t *testing.T) {
	var out, log bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-h"}, &out, &log))
	assert.Contains(t, log.String(), "-memory-limit size")
	require.NoError(t, run(t.Context(), []string{"-version"}, &out, &log))
	assert.Regexp(t, `^pocketmq \S+\n$`, out.String())
}

func TestGuestIsForThisMachine(t *testing.T) {
	assert.Contains(t, start(t, "-amqp", "0.0.0.0:0").log.String(), "guest can only log in from this machine")
	assert.Empty(t, start(t, "-amqp", "0.0.0.0:0", "-user", "app:secret").log.String())
}

func TestNoLimits(t *testing.T) {
	start(t, "-amqp", "127.0.0.1:0", "-frame-max", "-1", "-channel-max", "-1", "-heartbeat", "-1", "-send-timeout", "-1", "-consumer-timeout", "-1",
		"-max-connections", "-1", "-max-queues", "-1", "-max-message-size", "-1", "-memory-limit", "-1")
}

func TestSizes(t *testing.T) {
	for arg, want := range map[string]size{"1000": 1000, "7B": 7, "2kB": 2000, "2KiB": 2048, "512MiB": 512 << 20, "-1": -1, "1GB": 1e9, "3GiB": 3 << 30} {
		var got size
		require.NoError(t, got.Set(arg), arg)
		assert.Equal(t, want, got, arg)
	}
	for _, arg := range []string{"", "0", "-2", "-1MiB", "x", "MiB", "1.5GiB", "9999999999GiB"} {
		assert.Error(t, new(size).Set(arg), arg)
	}
}

func TestTLS(t *testing.T) {
	files, pool, pair := certificate(t)
	p := start(t, "-amqp", "", "-amqps", "127.0.0.1:0", "-tls-cert", files.cert, "-tls-key", files.key, "-tls-ca", files.cert)
	addr := regexp.MustCompile(`ready at amqps://(127\.0\.0\.1:\d+) \(`).FindStringSubmatch(p.ready)
	require.NotNil(t, addr, p.ready)

	c, err := tls.Dial("tcp", addr[1], &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	assert.Contains(t, greet(t, c), "publisher_confirms")

	c, err = tls.Dial("tcp", addr[1], &tls.Config{RootCAs: pool})
	if err == nil { // the server's refusal comes after the client's handshake
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	assert.ErrorContains(t, err, "certificate required")
}

func TestBothListeners(t *testing.T) {
	files, _, _ := certificate(t)
	p := start(t, "-amqp", "127.0.0.1:0", "-amqps", "127.0.0.1:0", "-tls-cert", files.cert, "-tls-key", files.key)
	assert.Regexp(t, `ready at amqp://127\.0\.0\.1:\d+ and amqps://127\.0\.0\.1:\d+ \(`, p.ready)
}

func TestBadCertificates(t *testing.T) {
	files, _, _ := certificate(t)
	_, err := fails(t, "-amqp", "", "-amqps", "127.0.0.1:0", "-tls-cert", "none.pem", "-tls-key", files.key)
	assert.ErrorContains(t, err, "-tls-cert and -tls-key: open none.pem")
	_, err = fails(t, "-amqp", "127.0.0.1:0", "-amqps", "127.0.0.1:0", "-tls-cert", files.cert, "-tls-key", files.key, "-tls-ca", files.key)
	assert.ErrorContains(t, err, "no certificate in it")
}

type certificateFiles struct{ cert, key string }

// certificate makes a certificate for 127.0.0.1 that vouches for itself.
func certificate(t *testing.T) (certificateFiles, *x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pocketmq test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	files := certificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	require.NoError(t, os.WriteFile(files.cert, cert, 0o600))
	require.NoError(t, os.WriteFile(files.key, keyPEM, 0o600))
	pair, err := tls.X509KeyPair(cert, keyPEM)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return files, pool, pair
}

// With -events and -tracing every virtual host tells what happens in it.
func TestLookingOn(t *testing.T) {
	for _, on := range []bool{false, true} {
		args := []string{"-vhost", "v"}
		if on {
			args = append(args, "-events", "-tracing")
		}
		s, err := parse(args, io.Discard)
		require.NoError(t, err)
		brokers, server, err := s.build(slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.Len(t, brokers, 2)
		for _, b := range brokers {
			_, exists := b.Stats().Exchange("amq.rabbitmq.event")
			require.Equal(t, on, exists)
			require.NoError(t, b.Publish(t.Context(), "amq.fanout", "k", &pocketmq.Message{}))
			x, _ := b.Stats().Exchange("amq.rabbitmq.trace")
			require.Equal(t, on, x.Published == 1)
		}
		require.NoError(t, shutDown(slog.New(slog.DiscardHandler), server, brokers))
	}
}
