package edge_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/gateway/edge"
)

var epoch = time.Unix(1_700_000_000, 0)

func at(d time.Duration) time.Time { return epoch.Add(d) }

func TestShareRequests(t *testing.T) {
	var s edge.Share
	rates := edge.Rates{RequestsPerSecond: 10}
	for i := range 10 {
		if wait := s.Enter(epoch, rates); wait != 0 {
			t.Fatalf("request %d waits for %v", i, wait)
		}
	}
	if wait := s.Enter(epoch, rates); wait != 100*time.Millisecond {
		t.Errorf("one too many waits for %v", wait)
	}
	// Who was refused is not held back further.
	if wait := s.Enter(at(100*time.Millisecond), rates); wait != 0 {
		t.Errorf("after its time it waits for %v", wait)
	}
	if wait := s.Enter(at(100*time.Millisecond), rates); wait != 100*time.Millisecond {
		t.Errorf("the next waits for %v", wait)
	}
	for i := range 10 {
		if wait := s.Enter(at(time.Hour), rates); wait != 0 {
			t.Fatalf("an hour later request %d waits for %v", i, wait)
		}
	}
	if s.Enter(at(time.Hour), rates) == 0 {
		t.Error("an hour's requests were saved up")
	}
	if wait := s.Enter(at(time.Hour), edge.Rates{}); wait != 0 {
		t.Error("it is bounded by nothing")
	}
}

func TestShareParallel(t *testing.T) {
	var s edge.Share
	rates := edge.Rates{Parallel: 2}
	for range 2 {
		if s.Enter(epoch, rates) != 0 {
			t.Fatal("refused")
		}
	}
	if s.Enter(epoch, rates) == 0 {
		t.Error("a third was let in")
	}
	s.Leave()
	if s.Enter(epoch, rates) != 0 {
		t.Error("what was left is not free")
	}
}

func TestShareFailures(t *testing.T) {
	var s edge.Share
	for range 100 {
		if wait := s.Failing(epoch); wait != 0 {
			t.Fatalf("waits for %v", wait)
		}
		s.Fail(epoch, 10)
	}
	s.Fail(epoch, 10)
	if wait := s.Failing(epoch); wait != 100*time.Millisecond {
		t.Errorf("after one too many it waits for %v", wait)
	}
	for range 1_000_000 {
		s.Fail(epoch, 10)
	}
	if wait := s.Failing(epoch); wait != 10*time.Second {
		t.Errorf("after a million it waits for %v", wait)
	}
	if wait := s.Failing(at(10 * time.Second)); wait != 0 {
		t.Errorf("when it has waited it waits for %v", wait)
	}
}

// Memory is bounded however many sources there are, and who comes often is not forgotten for who comes once.
func TestSharesAreBounded(t *testing.T) {
	var all edge.Shares[netip.Addr]
	often := netip.MustParseAddr("192.0.2.1")
	rates := edge.Rates{RequestsPerSecond: 1}
	if all.Known(often) != nil {
		t.Error("it is known before it came")
	}
	all.Get(often).Enter(epoch, rates)
	a := netip.MustParseAddr("10.0.0.0")
	for i := range 1_000_000 {
		a = a.Next()
		all.Get(a)
		if i%1000 == 0 && all.Get(often).Enter(epoch, rates) == 0 {
			t.Fatalf("after %d others it was forgotten", i)
		}
	}
	if n := all.Len(); n != edge.SharesMax {
		t.Errorf("%d are remembered", n)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				s := all.Get(often)
				if s.Enter(at(time.Hour), edge.Rates{Parallel: 1}) == 0 {
					s.Leave()
				}
			}
		})
	}
	wg.Wait()
}

// Bodies keep the bandwidth of their share in both directions, in virtual time.
func TestPace(t *testing.T) {
	const rate, size = 1 << 20, 10 << 20
	var share edge.Share
	echo := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		body, out := s.NewReader(w, r), s.NewWriter(w, r, time.Now())
		edge.Pace(r.Context(), body, out, &share, rate)
		n, err := io.Copy(io.Discard, body)
		if n != size || err != nil {
			t.Errorf("read %d: %v", n, err)
		}
		if share.Enter(time.Now(), edge.Rates{BytesPerSecond: rate}) != 0 {
			t.Error("one whose bytes flow evenly is refused its next request")
		}
		news <- nil
		if n, err := out.Write(make([]byte, size)); n != size || err != nil {
			t.Errorf("wrote %d: %v", n, err)
		}
	}
	virtual(t, edge.Limits{}, echo, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		began := time.Now()
		send(t, conn, "PUT / HTTP/1.0\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n")
		go io.Copy(conn, io.LimitReader(zeros{}, size))
		<-news
		up := time.Since(began)
		got := closed(t, r)
		down := time.Since(began) - up
		if !strings.Contains(got, "200 OK") || up < 8*time.Second || up > 11*time.Second || down < 8*time.Second || down > 12*time.Second {
			t.Errorf("%v up, %v down", up, down)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
