package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// tlsListener marks a listener as one for amqps.
type tlsListener struct{ net.Listener }

// listen opens all listeners, or none.
func (s *settings) listen() (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
		}
	}()
	if s.amqp != "" {
		l, err := listenTCP(s.amqp, "-amqp")
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, l)
	}
	if s.amqps != "" {
		config, err := s.tlsConfig()
		if err != nil {
			return listeners, err
		}
		l, err := listenTCP(s.amqps, "-amqps")
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, &tlsListener{tls.NewListener(l, config)})
	}
	return listeners, nil
}

// listenTCP listens on what the flag says, and explains when it can't.
func listenTCP(address, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use, perhaps by a RabbitMQ or another pocketmq: stop it, or choose another address; %s 127.0.0.1:0 picks a free port",
			address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, address, err)
	}
	return l, nil
}

// tlsConfig reads the certificates.
func (s *settings) tlsConfig() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("-tls-cert and -tls-key: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if s.tlsCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(s.tlsCA)
	if err != nil {
		return nil, fmt.Errorf("-tls-ca: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-tls-ca %s: no certificate in it", s.tlsCA)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}
