package export

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"shoal/gateway/audit"
	"shoal/gateway/edge"
)

// kafka writes records to a topic: the value is the record, the key its writer, so that all of a writer are in one
// partition in their order.
type kafka struct {
	client  *kgo.Client
	timeout time.Duration
}

// Headers of a record in a topic.
const (
	HeaderID     = "id"
	HeaderWriter = "writer"
	HeaderLog    = "log"
	HeaderChain  = "chain"
	HeaderSeq    = "seq"
)

// kafkaBytesMax bounds a batch of the protocol, in bytes: what brokers take by default (message.max.bytes).
const kafkaBytesMax = 1_000_000

// kafkaPause is the pause of the client between attempts of its own; the longer ones are the queue's.
const kafkaPause = 250 * time.Millisecond

func newKafka(c *Config, dial *net.Dialer, secure *tls.Config) (*kafka, error) {
	connect := (&tls.Dialer{NetDialer: dial, Config: secure}).DialContext
	if c.Plaintext {
		connect = dial.DialContext
	}
	options := []kgo.Opt{
		kgo.ClientID("shoal"), kgo.SeedBrokers(c.Brokers...), kgo.DefaultProduceTopic(c.Topic), kgo.Dialer(connect),
		kgo.RequiredAcks(kgo.AllISRAcks()), // with it the producer is idempotent
		kgo.ProducerBatchMaxBytes(kafkaBytesMax), kgo.ProduceRequestTimeout(c.Timeout),
		kgo.AllowIdempotentProduceCancellation(), // a batch that was broken off is sent again, whether it arrived or not
		kgo.ProducerLinger(0), kgo.RetryTimeout(c.Timeout), kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(kafkaPause), kgo.RetryBackoffFn(func(int) time.Duration { return kafkaPause }),
	}
	if c.SASL != "" {
		password, err := edge.ReadSecret(c.SASLPasswordFile, 1)
		if err != nil {
			return nil, fmt.Errorf("sasl-password-file: %w", err)
		}
		switch c.SASL {
		case SASLPlain:
			options = append(options, kgo.SASL(plain.Auth{User: c.SASLUser, Pass: string(password)}.AsMechanism()))
		case SASLSHA256:
			options = append(options, kgo.SASL(scram.Auth{User: c.SASLUser, Pass: string(password)}.AsSha256Mechanism()))
		default:
			options = append(options, kgo.SASL(scram.Auth{User: c.SASLUser, Pass: string(password)}.AsSha512Mechanism()))
		}
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	return &kafka{client, c.Timeout}, nil
}

// Deliver is that of audit.Target. Records carry the time of their delivery, since topics keep them by that; their
// own is in them.
func (k *kafka) Deliver(ctx context.Context, b *audit.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	records := make([]*kgo.Record, len(b.Records))
	for i := range b.Records {
		r := &b.Records[i]
		records[i] = &kgo.Record{Key: []byte(b.Writer), Value: r.Text, Headers: []kgo.RecordHeader{
			{Key: HeaderID, Value: []byte(r.ID)}, {Key: HeaderWriter, Value: []byte(b.Writer)}, {Key: HeaderLog, Value: []byte(b.Log)},
			{Key: HeaderChain, Value: []byte(b.Chain)}, {Key: HeaderSeq, Value: strconv.AppendUint(nil, r.Seq, 10)},
		}}
	}
	return k.client.ProduceSync(ctx, records...).FirstErr()
}

// Close is that of audit.Target.
func (k *kafka) Close() error {
	k.client.Close()
	return nil
}
