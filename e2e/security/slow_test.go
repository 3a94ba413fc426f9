package security

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Who sends slowly takes places; others keep theirs.

const (
	slowConns  = 1100 // more than a gateway serves at once
	slowSource = "127.0.77.1"
	slowLeast  = 200 // half bodies that are in flight at once, of the 256 that a source may have
	slowRounds = 20
)

func slowAttacks() []attack {
	return []attack{{"A10 half bodies before a signature from many connections of one source", halfForms}}
}

// halfForms keeps more forms on their way than a gateway has places, none of which ever ends, and none of which is signed
// by what has come of it. Others are served meanwhile.
func halfForms(t *testing.T, v *victim) {
	b := v.bucket(t, "a10-half-forms")
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	defer senders.Wait()
	defer stop()
	for i := range slowConns {
		senders.Go(func() {
			for again := time.NewTimer(0); ; again.Reset(100 * time.Millisecond) {
				select {
				case <-again.C:
					v.halfForm(ctx, b.name, i)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for range slowRounds {
		eventually(t, func() error {
			n, err := v.inFlight()
			if err == nil && n < slowLeast {
				err = fmt.Errorf("%d requests are in flight, %d are to be", n, slowLeast)
			}
			return err
		})
		b.is(t, &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: b.root}, http.StatusOK, "")
	}
	b.untouched(t)
}

// halfForm sends half of a form and waits for whatever ends it.
func (v *victim) halfForm(ctx context.Context, bucket string, i int) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(slowSource)}}
	conn, err := d.DialContext(ctx, "tcp", v.addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	path, kind, half := "/", "application/x-www-form-urlencoded", "Action=GetCallerIdentity&"
	if i%2 == 0 {
		path, kind, half = "/"+bucket, "multipart/form-data; boundary=half", "--half\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk"
	}
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n%s", path, v.addr, kind, half); err == nil {
		_, _ = io.Copy(io.Discard, bufio.NewReader(conn))
	}
}

var inFlightMetric = regexp.MustCompile(`(?m)^shoal_gateway_in_flight_requests (\d+)$`)

// inFlight is how many requests are being served.
func (v *victim) inFlight() (int, error) {
	_, text, err := v.p.Page("/metrics")
	if err != nil {
		return 0, err
	}
	m := inFlightMetric.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("there is no such metric")
	}
	return strconv.Atoi(m[1])
}
