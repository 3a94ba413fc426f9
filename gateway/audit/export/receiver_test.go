package export_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"shoal/gateway/audit/export"
)

const (
	testSecret = "a secret of some length"
	testTopic  = "audit"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pki is a certificate for loopback, and the file that says that it is trusted.
type pki struct {
	caFile string
	server *tls.Config
}

func newPKI(t testing.TB) pki {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "target test"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return pki{
		caFile: writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644),
		server: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
	}
}

func writeFile(t testing.TB, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(text), mode))
	return path
}

// gate is a listener whose connections can be cut, and new ones with them.
type gate struct {
	net.Listener
	mu    sync.Mutex // guards what follows
	shut  bool
	conns []net.Conn
}

func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		conn.Close()
	}
	g.conns = append(g.conns, conn)
	return conn, nil
}

// set shuts the gate, or opens it.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	for _, c := range g.conns {
		if shut {
			c.Close()
		}
	}
}

func newGate(t testing.TB) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return &gate{Listener: l}
}

// receiver is the other side of a target. got gives the texts of the records that arrived, in order.
type receiver struct {
	config export.Config
	gate   *gate
	got    func() []string
}

// delivery is what arrived of a record.
type delivery struct {
	ID, Writer, Log, Chain string
	Record                 json.RawMessage
}

// inbox collects records.
type inbox struct {
	mu   sync.Mutex // guards what follows
	text []string
	errs []error
}

func (b *inbox) add(d *delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.Writer != testWriter || d.Log != "access" || d.Chain != testChain || d.ID != idOf(d.Record) {
		b.errs = append(b.errs, fmt.Errorf("a record arrived as %+v", d))
	}
	b.text = append(b.text, string(d.Record))
}

func (b *inbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs = append(b.errs, err)
}

func (b *inbox) texts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.text)
}

// watch fails the test for what arrived in the wrong form.
func (b *inbox) watch(t testing.TB) {
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, err := range b.errs {
			t.Error(err)
		}
	})
}

func webhookReceiver(t testing.TB, body string) *receiver {
	var in inbox
	in.watch(t)
	p, g := newPKI(t), newGate(t)
	s := &httptest.Server{Listener: g, TLS: p.server, Config: &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if got := r.Header.Get(export.HeaderSignature); got != export.Sign([]byte(testSecret), r.Header.Get(export.HeaderTimestamp), text) {
			in.fail(fmt.Errorf("signature %s", got))
		}
		var all []delivery
		if body == export.BodyArray {
			err = json.Unmarshal(text, &all)
		} else {
			d := json.NewDecoder(strings.NewReader(string(text)))
			for err == nil {
				var one delivery
				if err = d.Decode(&one); err == nil {
					all = append(all, one)
				}
			}
			if err == io.EOF && strings.Count(string(text), "\n") == len(all) {
				err = nil
			}
		}
		if err != nil {
			in.fail(err)
		}
		for i := range all {
			in.add(&all[i])
		}
	})}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return &receiver{gate: g, got: in.texts, config: export.Config{
		Kind: export.Webhook, URL: s.URL + "/in", SecretFile: writeFile(t, "secret", testSecret+"\n", 0o600), CAFile: p.caFile, Body: body,
	}}
}

var syslogHead = regexp.MustCompile(`^<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]{1,255} shoal \d+ request - \{`)

func syslogReceiver(t testing.TB) *receiver {
	var in inbox
	in.watch(t)
	p, g := newPKI(t), newGate(t)
	l := tls.NewListener(g, p.server)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				if err := readFrames(bufio.NewReader(conn), &in); err == nil {
					conn.(*tls.Conn).CloseWrite()
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		g.set(true)
		served.Wait()
	})
	return &receiver{gate: g, got: in.texts, config: export.Config{Kind: export.Syslog, Address: g.Addr().String(), CAFile: p.caFile}}
}

// readFrames reads frames of RFC 5425 until the connection ends in order.
func readFrames(r *bufio.Reader, in *inbox) error {
	for {
		var size int
		if _, err := fmt.Fscanf(r, "%d", &size); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if blank, err := r.ReadByte(); err != nil || blank != ' ' {
			return fmt.Errorf("%q behind the length: %v", blank, err)
		}
		message := make([]byte, size)
		if _, err := io.ReadFull(r, message); err != nil {
			return err
		}
		if !syslogHead.Match(message) {
			in.fail(fmt.Errorf("message %.200s", message))
			continue
		}
		var d delivery
		if err := json.Unmarshal(message[strings.IndexByte(string(message), '{'):], &d); err != nil {
			in.fail(err)
			continue
		}
		in.add(&d)
	}
}

func kafkaReceiver(t testing.TB, sasl string) *receiver {
	var in inbox
	in.watch(t)
	p, g := newPKI(t), newGate(t)
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, testTopic), kfake.ListenFn(func(string, string) (net.Listener, error) {
		return tls.NewListener(g, p.server), nil
	})}
	if sasl != "" {
		options = append(options, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(sasl), "shoal", testSecret))
	}
	cluster, err := kfake.NewCluster(options...)
	must(t, err)
	t.Cleanup(cluster.Close)
	c := export.Config{Kind: export.Kafka, Brokers: cluster.ListenAddrs(), Topic: testTopic, CAFile: p.caFile}
	if sasl != "" {
		c.SASL, c.SASLUser, c.SASLPasswordFile = sasl, "shoal", writeFile(t, "password", testSecret, 0o600)
	}
	return &receiver{gate: g, config: c, got: func() []string { return consume(t, &c, p, &in) }}
}

// consume reads the topic to its end.
func consume(t testing.TB, c *export.Config, p pki, in *inbox) []string {
	t.Helper()
	trust := x509.NewCertPool()
	ca, err := os.ReadFile(p.caFile)
	must(t, err)
	trust.AppendCertsFromPEM(ca)
	options := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.DialTLSConfig(&tls.Config{RootCAs: trust}), kgo.ConsumeTopics(c.Topic)}
	options = append(options, saslOf(c)...)
	client, err := kgo.NewClient(options...)
	must(t, err)
	defer client.Close()
	partitions := make(map[int32]bool)
	in.mu.Lock()
	in.text = nil
	in.mu.Unlock()
	for left := produced(t, client); left > 0; {
		fetches := client.PollFetches(t.Context())
		must(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			partitions[r.Partition] = true
			h := make(map[string]string)
			for _, header := range r.Headers {
				h[header.Key] = string(header.Value)
			}
			if string(r.Key) != testWriter {
				t.Errorf("key %q", r.Key)
			}
			in.add(&delivery{h[export.HeaderID], h[export.HeaderWriter], h[export.HeaderLog], h[export.HeaderChain], r.Value})
		})
	}
	if len(partitions) > 1 {
		t.Errorf("the records of a writer are in %d partitions", len(partitions))
	}
	return in.texts()
}

// produced counts the records of the topic.
func produced(t testing.TB, client *kgo.Client) (count int64) {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = testTopic
	for p := range int32(3) {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = p, -1 // the end
		topic.Partitions = append(topic.Partitions, partition)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), client)
	must(t, err)
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			count += p.Offset
		}
	}
	return count
}

func saslOf(c *export.Config) []kgo.Opt {
	switch c.SASL {
	case export.SASLPlain:
		return []kgo.Opt{kgo.SASL(plain.Auth{User: c.SASLUser, Pass: testSecret}.AsMechanism())}
	case export.SASLSHA256:
		return []kgo.Opt{kgo.SASL(scram.Auth{User: c.SASLUser, Pass: testSecret}.AsSha256Mechanism())}
	case export.SASLSHA512:
		return []kgo.Opt{kgo.SASL(scram.Auth{User: c.SASLUser, Pass: testSecret}.AsSha512Mechanism())}
	}
	return nil
}
