package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

const (
	floodConns = 10_000
	floodHosts = 200 // addresses of loopback from which they come
	// floodMemory is by how much a process may grow under a flood.
	floodMemory = 256 << 20
	floodRounds = 30
	floodWithin = 2 * time.Minute
)

// TestFlood opens 10,000 connections to what strangers can reach, from many addresses. The process
// stays within its memory and counts them; members and clients go on meanwhile.
func TestFlood(t *testing.T) {
	mayOpen(t, floodConns+2000)
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Gateways: 1})
	node, gateway := c.Nodes()[0], c.Gateways()[0]
	s := c.S3()
	_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("flood")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		victim  *cluster.Process
		addr    string
		refused string // metrics that count what was turned away
		kept    int    // connections that the victim may hold
	}{
		{"peers", node, node.P2PAddr(), "shoal_transport_refused_total", 1024},
		{"S3", gateway, strings.TrimPrefix(gateway.Endpoint(), "http://"), "shoal_gateway_refused_connections_total shoal_gateway_evicted_connections_total", 8192},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before, counted := memoryOf(t, tc.victim), metricSum(t, tc.victim, tc.refused)
			open := flood(t, tc.addr)
			for i := range floodRounds {
				// Through the gateway all goes over its connections to the node, old and new ones.
				through := clientOf(gateway)
				if err := putGet(t.Context(), through, fmt.Sprintf("%s-%d", tc.name, i)); err != nil {
					t.Fatalf("round %d: %v", i, err)
				}
			}
			eventually(t, floodWithin, func() error {
				if n := metricSum(t, tc.victim, tc.refused) - counted; n < float64(floodConns-tc.kept) {
					return fmt.Errorf("%v connections are counted as turned away, %d were opened", n, floodConns)
				}
				return nil
			})
			grown := memoryOf(t, tc.victim) - before
			t.Logf("%d connections open, %v turned away, %d MiB more", open, metricSum(t, tc.victim, tc.refused)-counted, grown>>20)
			if grown > floodMemory {
				t.Errorf("the process takes %d MiB more", grown>>20)
			}
			late := c.AddGateway("default")
			if err := putGet(t.Context(), clientOf(late), "late-"+tc.name); err != nil {
				t.Errorf("a gateway that joins now: %v", err)
			}
		})
	}
}

// mayOpen raises how many files this process may have open, or skips the test.
func mayOpen(t *testing.T, files uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= files {
		return
	}
	limit.Cur, limit.Max = files, max(limit.Max, files)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		cluster.Need(t, fmt.Errorf("%d files may be open, %d are needed: %w", limit.Cur, files, err))
	}
}

// flood opens connections that say nothing, or half of a request, until the test ends.
func flood(t *testing.T, addr string) (open int) {
	t.Helper()
	var conns []net.Conn
	t.Cleanup(func() {
		for _, conn := range conns {
			conn.Close()
		}
	})
	for i := range floodConns {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%floodHosts))}, Timeout: floodWithin}
		conn, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, conn)
		if i%2 == 0 {
			// One that was closed at once cannot be written to.
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: flood")
		}
	}
	return len(conns)
}

// clientOf retries as the SDK does: a connection that waits may be closed to make room.
func clientOf(p *cluster.Process) *s3.Client {
	return p.S3(func(o *s3.Options) { o.Retryer = retry.NewStandard() })
}

// putGet writes an object and reads it back, small enough and too large to be kept with its metadata.
func putGet(ctx context.Context, s *s3.Client, key string) error {
	for _, size := range []int{100, 300 << 10} {
		body := bytes.Repeat([]byte(key[:1]), size)
		_, err := s.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("flood"), Key: &key, Body: bytes.NewReader(body)})
		if err != nil {
			return err
		}
		out, err := s.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("flood"), Key: &key})
		if err != nil {
			return err
		}
		got, err := io.ReadAll(out.Body)
		out.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			return fmt.Errorf("%s: %d bytes of %d, %v", key, len(got), size, err)
		}
	}
	return nil
}

// memoryOf is what the process holds in memory.
func memoryOf(t *testing.T, p *cluster.Process) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Skipf("memory is looked at on Linux only: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("the status has no VmRSS")
	return 0
}

// metricSum adds up all series of some metrics of a process.
func metricSum(t *testing.T, p *cluster.Process, names string) (sum float64) {
	t.Helper()
	resp, err := http.Get("http://" + p.AdminAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ = strings.Cut(name, "{")
		if strings.HasPrefix(name, "#") || !strings.Contains(" "+names+" ", " "+name+" ") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return sum
}
