package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pocketmq/pocketmq/internal/wire"
)

// Tests of the program as it is built and run, with signals from outside.

// scratch is where the program is built.
var (
	scratch string
	binary  = sync.OnceValues(func() (string, error) {
		program := filepath.Join(scratch, "pocketmq")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".")
		build.Stderr = os.Stderr
		return program, build.Run()
	})
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "pocketmq-cmd"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// process is the program, started.
type process struct {
	*exec.Cmd
	addr string
	log  log
}

var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// execute starts the program, and kills it at the end of the test if it has not ended.
func execute(t *testing.T, args ...string) *process {
	t.Helper()
	program, err := binary()
	require.NoError(t, err)
	p := &process{Cmd: exec.Command(program, args...)}
	p.Stderr = &p.log
	stdout, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "log: %v", &p.log)
	p.addr = address.FindString(line)
	return p
}

// terminate sends SIGTERM, as a system does that shuts down.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
}

// ends waits for the end of the program, which must be a success.
func (p *process) ends(t *testing.T) {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- p.Wait() }()
	select {
	case err := <-result:
		require.NoError(t, err, "log: %v", &p.log)
	case <-time.After(30 * time.Second):
		require.FailNow(t, "it does not end", "log: %v", &p.log)
	}
}

// peer is a client of the program, in methods.
type peer struct {
	t  *testing.T
	nc net.Conn
	r  *wire.Reader
}

func newPeer(t *testing.T, nc net.Conn) *peer {
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(30*time.Second)))
	return &peer{t, nc, wire.NewReader(nc)}
}

func (p *peer) send(channel uint16, m wire.Method) {
	p.t.Helper()
	b, err := wire.AppendMethodFrame(nil, channel, m)
	require.NoError(p.t, err)
	_, err = p.nc.Write(b)
	require.NoError(p.t, err)
}

// expect returns the next method, which must be this one.
func expect[M wire.Method](p *peer) M {
	p.t.Helper()
	f, err := p.r.ReadFrame()
	require.NoError(p.t, err)
	m, err := wire.DecodeMethod(f.Payload, nil)
	require.NoError(p.t, err)
	want, ok := m.(M)
	require.True(p.t, ok, "got %v %+v", m.ID(), m)
	return want
}

// start begins the handshake, up to start-ok, and returns the mechanisms on offer.
func (p *peer) start(mechanism, response string) (mechanisms string) {
	p.t.Helper()
	_, err := p.nc.Write([]byte(wire.ProtocolHeader))
	require.NoError(p.t, err)
	mechanisms = expect[*wire.ConnectionStart](p).Mechanisms
	p.send(0, &wire.ConnectionStartOk{
		ClientProperties: wire.Table{"capabilities": wire.Table{"connection.blocked": true, "authentication_failure_close": true}},
		Mechanism:        mechanism, Response: response, Locale: "en_US",
	})
	return mechanisms
}

// open ends the handshake, and opens a channel with a queue.
func (p *peer) open() {
	p.t.Helper()
	tune := expect[*wire.ConnectionTune](p)
	p.r.SetFrameMax(tune.FrameMax)
	p.send(0, &wire.ConnectionTuneOk{ChannelMax: tune.ChannelMax, FrameMax: tune.FrameMax})
	p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	expect[*wire.ConnectionOpenOk](p)
	p.send(1, &wire.ChannelOpen{})
	expect[*wire.ChannelOpenOk](p)
	p.send(1, &wire.QueueDeclare{Queue: "q", Durable: true, Arguments: wire.Table{"x-max-length": int32(24)}})
	expect[*wire.QueueDeclareOk](p)
}

// told expects to be told that the program is shut down (CONN-70).
func (p *peer) told() {
	p.t.Helper()
	m := expect[*wire.ConnectionClose](p)
	require.Equal(p.t, uint16(320), m.ReplyCode)
	require.Equal(p.t, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", m.ReplyText)
}

// authority vouches for certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("authority", "an authority")
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name+".pem") }

// issue makes a certificate for a common name, in the files NAME.pem and NAME-key.pem.
func (a *authority) issue(name, common string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: common},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	for file, block := range map[string]*pem.Block{name: {Type: "CERTIFICATE", Bytes: der}, name + "-key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		require.NoError(a.t, os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600))
	}
	cert, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return cert, key
}

// dial connects with the certificates of these names.
func (a *authority) dial(addr string, names ...string) (net.Conn, error) {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	config := &tls.Config{RootCAs: roots}
	for _, name := range names {
		pair, err := tls.LoadX509KeyPair(a.file(name), a.file(name+"-key"))
		require.NoError(a.t, err)
		config.Certificates = append(config.Certificates, pair)
	}
	nc, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return nil, err
	}
	return nc, nil
}

// Who has a certificate of the authority logs in by it, as the user whom it names.
func TestLoginByCertificate(t *testing.T) { // CONN-16
	a, other := newAuthority(t), newAuthority(t)
	a.issue("server", "a server")
	a.issue("app", "app")
	a.issue("stranger", "stranger")
	other.cert = a.cert                           // who has its certificate trusts the server, too
	for _, suffix := range []string{"", "-key"} { // app's is its own
		require.NoError(t, os.Rename(other.file("authority"+suffix), other.file("app"+suffix)))
	}
	p := execute(t, "-amqp", "", "-amqps", "127.0.0.1:0", "-user", "app:unused",
		"-tls-cert", a.file("server"), "-tls-key", a.file("server-key"), "-tls-ca", a.file("authority"))

	nc, err := a.dial(p.addr, "app")
	require.NoError(t, err)
	app := newPeer(t, nc)
	require.Contains(t, app.start("EXTERNAL", ""), "EXTERNAL")
	app.open()

	nc, err = a.dial(p.addr, "stranger")
	require.NoError(t, err)
	stranger := newPeer(t, nc)
	stranger.start("EXTERNAL", "")
	require.Equal(t, uint16(403), expect[*wire.ConnectionClose](stranger).ReplyCode)

	for want, dial := range map[string]func() (net.Conn, error){
		"certificate required":          func() (net.Conn, error) { return a.dial(p.addr) },
		"unknown certificate authority": func() (net.Conn, error) { return other.dial(p.addr, "app") },
	} {
		nc, err := dial()
		if err == nil { // the refusal comes after the client's handshake
			_, err = nc.Read(make([]byte, 1))
			nc.Close()
		}
		require.ErrorContains(t, err, want)
	}

	p.terminate(t)
	app.told()
	app.send(0, &wire.ConnectionCloseOk{})
	p.ends(t)
	require.Contains(t, p.log.String(), `there is no user \"stranger\", as the certificate says`)
}

// A publisher that is blocked because there is no memory left is told when the program is
// to end, whether it answers or not.
func TestTerminatedWhileAPublisherIsBlocked(t *testing.T) { // CONN-70, CONN-77
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprint("answers ", answers), func(t *testing.T) {
			p := execute(t, "-amqp", "127.0.0.1:0", "-memory-limit", "16MiB")
			nc, err := net.Dial("tcp", p.addr)
			require.NoError(t, err)
			publisher := newPeer(t, nc)
			publisher.start("PLAIN", "\x00guest\x00guest")
			publisher.open()
			require.Equal(t, "low on memory", publisher.fill().Reason)

			began := time.Now()
			p.terminate(t)
			publisher.told()
			if answers {
				publisher.send(0, &wire.ConnectionCloseOk{})
			}
			p.ends(t)
			assert.Equal(t, answers, time.Since(began) < grace)
			assert.Equal(t, !answers, strings.Contains(p.log.String(), "connections were dropped that did not answer"))
		})
	}
}

// fill publishes messages of a MiB until the program blocks publishers. It keeps 24 of
// them, and looks at its memory now and then only.
func (p *peer) fill() (blocked *wire.ConnectionBlocked) {
	p.t.Helper()
	body := make([]byte, 1<<20)
	b, err := wire.AppendMethodFrame(nil, 1, &wire.BasicPublish{RoutingKey: "q"})
	require.NoError(p.t, err)
	b, err = wire.AppendHeaderFrame(b, 1, uint64(len(body)), &wire.Properties{})
	require.NoError(p.t, err)
	b = wire.AppendBodyFrames(b, 1, body, 131072)
	b, err = wire.AppendMethodFrame(b, 1, &wire.QueueDeclare{Queue: "q", Passive: true})
	require.NoError(p.t, err)
	for {
		_, err = p.nc.Write(b)
		require.NoError(p.t, err)
		switch m := expect[wire.Method](p).(type) {
		case *wire.QueueDeclareOk:
		case *wire.ConnectionBlocked:
			return m
		default:
			require.FailNow(p.t, "unexpected", "%v", m.ID())
		}
	}
}
