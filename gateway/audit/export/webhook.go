package export

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/edge"
)

// Headers of a webhook's requests. HeaderSignature is "v1=" and the hex digits of HMAC-SHA256, by the secret, over
// the decimal digits of HeaderTimestamp, a full stop and the body.
const (
	HeaderTimestamp = "X-Shoal-Timestamp" // Unix time in seconds
	HeaderSignature = "X-Shoal-Signature"

	signaturePrefix = "v1="
	// answerBytesMax bounds what is read of an answer, so that the connection can be used again.
	answerBytesMax = 64 << 10
)

// Sign gives the value of HeaderSignature.
func Sign(secret []byte, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	io.WriteString(mac, timestamp) // a hash takes everything
	mac.Write([]byte{'.'})
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}

// webhook posts batches.
type webhook struct {
	url     string
	secret  []byte
	array   bool
	timeout time.Duration
	client  *http.Client
}

func newWebhook(c *Config, dial *net.Dialer, secure *tls.Config) (*webhook, error) {
	secret, err := edge.ReadSecret(c.SecretFile, secretBytesMin)
	if err != nil {
		return nil, fmt.Errorf("secret-file: %w", err)
	}
	return &webhook{
		url: c.URL, secret: secret, array: c.Body == BodyArray, timeout: c.Timeout,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy: nil, DialContext: dial.DialContext, TLSClientConfig: secure, TLSHandshakeTimeout: c.Timeout,
				MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: answerBytesMax, ForceAttemptHTTP2: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Deliver is that of audit.Target.
func (w *webhook) Deliver(ctx context.Context, b *audit.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	body := w.body(b)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL cannot be used")
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set(HeaderTimestamp, at)
	req.Header.Set(HeaderSignature, Sign(w.secret, at, body))
	req.Header.Set("User-Agent", "shoal")
	req.Header.Set("Content-Type", "application/x-ndjson")
	if w.array {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.client.Do(req)
	var inURL *url.Error
	if errors.As(err, &inURL) {
		return inURL.Err // without the URL, which may hold a token
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// What cannot be read costs the connection, no more.
	_, _ = io.CopyN(io.Discard, resp.Body, answerBytesMax)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// body is what is posted.
func (w *webhook) body(b *audit.Batch) []byte {
	var text []byte
	between := byte('\n')
	if w.array {
		between = ','
	}
	for i := range b.Records {
		if i > 0 {
			text = append(text, between)
		}
		text = appendEnvelope(text, b, &b.Records[i])
	}
	if w.array {
		return append(append([]byte{'['}, text...), ']')
	}
	return append(text, '\n')
}

// Close is that of audit.Target.
func (w *webhook) Close() error {
	w.client.CloseIdleConnections()
	return nil
}
