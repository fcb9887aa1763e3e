// The Go peer: net/http and amqp091-go, one connection, one channel, publishes pipelined by deferred confirmations.
//
// It does the job of the benchmark and no more: POST of an SNS Notification, topic allowed, signature of version 1 or 2
// verified, the body as it came published persistent and mandatory, 200 after the confirm; 4xx for a message that is not
// genuine, 503 for one that the broker refused, returned or did not confirm in time.
package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	maxBody  = 2 << 20
	deadline = 10 * time.Second
)

// envelope holds the members that are signed or tell how to verify.
type envelope struct {
	Type, MessageId, TopicArn, Message, Timestamp, SignatureVersion, SigningCertURL string
	Signature                                                                       []byte // base64 in JSON
	Subject                                                                         *string
}

func (m *envelope) stringToSign() []byte {
	b := make([]byte, 0, len(m.Message)+512)
	add := func(name, value string) {
		b = append(append(append(append(b, name...), '\n'), value...), '\n')
	}
	add("Message", m.Message)
	add("MessageId", m.MessageId)
	if m.Subject != nil {
		add("Subject", *m.Subject)
	}
	add("Timestamp", m.Timestamp)
	add("TopicArn", m.TopicArn)
	add("Type", m.Type)
	return b
}

func (m *envelope) genuine(key *rsa.PublicKey) bool {
	switch m.SignatureVersion {
	case "1":
		digest := sha1.Sum(m.stringToSign())
		return rsa.VerifyPKCS1v15(key, crypto.SHA1, digest[:], m.Signature) == nil
	case "2":
		digest := sha256.Sum256(m.stringToSign())
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], m.Signature) == nil
	}
	return false
}

// publisher is one channel in confirm mode. The library puts a return into the channel before it handles the ack that
// follows it, so a confirmed message was returned if and only if its return lies there by then.
type publisher struct {
	channel  *amqp.Channel
	returns  chan amqp.Return
	mu       sync.Mutex
	returned map[string]bool
}

func dial(url string) (*publisher, error) {
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	channel, err := connection.Channel()
	if err != nil {
		return nil, err
	}
	if err := channel.Confirm(false); err != nil {
		return nil, err
	}
	returns := channel.NotifyReturn(make(chan amqp.Return, 4096))
	return &publisher{channel: channel, returns: returns, returned: map[string]bool{}}, nil
}

// publish tells whether the broker confirmed the message and a queue has it.
func (p *publisher) publish(ctx context.Context, key, id string, body []byte) bool {
	confirm, err := p.channel.PublishWithDeferredConfirmWithContext(ctx, "", key, true, false, amqp.Publishing{
		ContentType: "text/plain; charset=UTF-8", DeliveryMode: amqp.Persistent, MessageId: id, Body: body})
	if err != nil {
		return false
	}
	acked, err := confirm.WaitContext(ctx)
	return err == nil && acked && !p.wasReturned(id)
}

func (p *publisher) wasReturned(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		select {
		case r, open := <-p.returns:
			if !open {
				return true
			}
			p.returned[r.MessageId] = true
		default:
			was := p.returned[id]
			delete(p.returned, id)
			return was
		}
	}
}

type bridge struct {
	url, queue, topic, certificateURL string
	key                               *rsa.PublicKey
	mu                                sync.Mutex
	publisher                         *publisher
}

// current returns the publisher, a new one when the last one's channel has closed.
func (b *bridge) current() (*publisher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.publisher == nil || b.publisher.channel.IsClosed() {
		fresh, err := dial(b.url)
		if err != nil {
			return nil, err
		}
		b.publisher = fresh
	}
	return b.publisher, nil
}

func (b *bridge) status(r *http.Request) int {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	if r.ContentLength < 0 || r.ContentLength > maxBody {
		return http.StatusRequestEntityTooLarge
	}
	body := make([]byte, r.ContentLength)
	var m envelope
	if _, err := io.ReadFull(r.Body, body); err != nil || json.Unmarshal(body, &m) != nil {
		return http.StatusBadRequest
	}
	if m.Type != "Notification" || m.TopicArn != b.topic || m.SigningCertURL != b.certificateURL || !m.genuine(b.key) {
		return http.StatusForbidden
	}
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	publisher, err := b.current()
	if err != nil || !publisher.publish(ctx, b.queue, m.MessageId, body) {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func readKey(path string) *rsa.PublicKey {
	raw, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		log.Fatalf("%s: not PEM", path)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	return certificate.PublicKey.(*rsa.PublicKey)
}

func main() {
	b := &bridge{url: os.Getenv("BENCH_AMQP_URL"), queue: os.Getenv("BENCH_QUEUE"), topic: os.Getenv("BENCH_TOPIC"),
		certificateURL: os.Getenv("BENCH_CERTIFICATE_URL"), key: readKey(os.Getenv("BENCH_CERTIFICATE"))}
	if _, err := b.current(); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("BENCH_PORT"), ReadHeaderTimeout: deadline,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(b.status(r)) })}
	log.Fatal(server.ListenAndServe())
}
