package export

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"shoal/gateway/audit"
)

// syslog sends each batch over a connection of its own. The protocol has no answers; that the server has read
// everything is known when it answers the end of the connection (RFC 5425 section 4.4), and not before.
type syslog struct {
	address string
	dial    tls.Dialer
	timeout time.Duration
	host    string
}

const (
	// syslogPriority is facility 13, log audit, with severity 6, informational (RFC 5424 section 6.2.1).
	syslogPriority = 13*8 + 6
	syslogApp      = "shoal"
	// syslogHostMax and syslogIDMax are bounds of RFC 5424 section 6.
	syslogHostMax = 255
	syslogIDMax   = 32
	nilValue      = "-"
)

func newSyslog(c *Config, dial *net.Dialer, secure *tls.Config) (*syslog, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("host name: %w", err)
	}
	secure.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	return &syslog{address: c.Address, dial: tls.Dialer{NetDialer: dial, Config: secure}, timeout: c.Timeout, host: printable(host, syslogHostMax)}, nil
}

// printable makes a header field of a text: printable ASCII without blanks.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return nilValue
	}
	return s[:min(len(s), most)]
}

// Deliver is that of audit.Target.
func (s *syslog) Deliver(ctx context.Context, b *audit.Batch) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	raw, err := s.dial.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	conn := raw.(*tls.Conn) // tls.Dialer makes no other
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) // ends what waits
	defer stop()
	w := bufio.NewWriterSize(conn, 64<<10)
	var message []byte
	for i := range b.Records {
		message = s.appendMessage(message[:0], b, &b.Records[i])
		// RFC 5425 section 4.3: MSG-LEN SP SYSLOG-MSG, an error is met by Flush.
		w.WriteString(strconv.Itoa(len(message)))
		w.WriteByte(' ')
		w.Write(message)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := conn.CloseWrite(); err != nil {
		return fmt.Errorf("end the connection: %w", err)
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(conn, answerBytesMax)); err != nil {
		return fmt.Errorf("the server did not take the end of the connection: %w", err)
	} else if n == answerBytesMax {
		return errors.New("the server sends what is no syslog")
	}
	return nil
}

// appendMessage appends a record as RFC 5424 section 6 has it. The message is the record in its envelope, in UTF-8 and
// without a byte order mark, which readers of JSON do not take.
func (s *syslog) appendMessage(b []byte, batch *audit.Batch, r *audit.Exported) []byte {
	at := nilValue
	if !r.Time.IsZero() {
		at = r.Time.UTC().Format("2006-01-02T15:04:05.000000Z") // TIME-SECFRAC has at most six digits
	}
	b = fmt.Appendf(b, "<%d>1 %s %s %s %d %s %s ", syslogPriority, at, s.host, syslogApp, os.Getpid(), printable(r.Event, syslogIDMax), nilValue)
	return appendEnvelope(b, batch, r)
}

// Close is that of audit.Target.
func (s *syslog) Close() error { return nil }
