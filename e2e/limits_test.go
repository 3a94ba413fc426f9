package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

// TestAddressRules blocks addresses while two gateways serve them: both hear of it.
func TestAddressRules(t *testing.T) {
	t.Parallel()
	n := cluster.Start(t, cluster.Options{})
	g := newGateway(t, n, invite(t, n))
	g.Start()
	g.WaitReady()
	r := &rights{t: t, node: n}
	served := func(p *cluster.Process, from string) error {
		c := visitor{endpoint: p.Endpoint(), from: from}.client(t, p, nil)
		_, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{})
		return err
	}
	both := []*cluster.Process{n, g}
	for _, p := range both {
		must(t, served(p, "127.0.0.7"))
	}
	r.admin("ip", "block", "127.0.0.0/29", "--yes")
	r.admin("ip", "allow", "127.0.0.6")
	for _, p := range both {
		eventually(t, time.Minute, func() error {
			if served(p, "127.0.0.7") == nil {
				return fmt.Errorf("the %s serves a blocked address", p.Part())
			}
			return nil
		})
		eventually(t, time.Minute, func() error { return served(p, "127.0.0.6") }) // what blocks it may come before what allows it
		must(t, served(p, "127.0.0.8"))
	}
	if out, err := n.Admin("ip", "list"); err != nil || !strings.Contains(out, "127.0.0.0/29") || !strings.Contains(out, "127.0.0.6/32") {
		t.Errorf("%v: the rules are listed as %s", err, out)
	}
	n.Restart() // and the rules are there from the first request on
	if served(n, "127.0.0.7") == nil {
		t.Error("after a restart a blocked address is served")
	}
	r.admin("ip", "remove", "127.0.0.0/29")
	for _, p := range both {
		eventually(t, time.Minute, func() error { return served(p, "127.0.0.7") })
	}
}

// TestSourceRate holds one address to a rate while others go on.
func TestSourceRate(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{})
	r := &rights{t: t, node: p}
	r.admin("settings", "set", "source-requests", "5")
	slow := func() error {
		const calls = 100
		statuses := make(chan string, calls)
		for range calls {
			go func() { statuses <- anonymous(t.Context(), p, "127.0.0.7") }()
		}
		slowed := 0
		for range calls {
			if s := <-statuses; s == "503 with Retry-After" {
				slowed++
			}
		}
		if slowed == 0 {
			return errors.New("none of a hundred requests at once was told to come back")
		}
		return nil
	}
	eventually(t, time.Minute, slow)
	if got := anonymous(t.Context(), p, "127.0.0.8"); got != "403" {
		t.Errorf("another address gets %s", got)
	}
	r.admin("settings", "set", "source-requests", "")
	eventually(t, time.Minute, func() error {
		if slow() == nil {
			return errors.New("the bound is gone and still holds")
		}
		return nil
	})
	c := visitor{endpoint: p.Endpoint(), from: "127.0.0.7"}.client(t, p, nil)
	_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("after")})
	must(t, err)
}

// anonymous sends an unsigned request from an address and gives what came back.
func anonymous(ctx context.Context, p *cluster.Process, from string) string {
	dial := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Endpoint(), nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	resp.Body.Close()
	if resp.Header.Get("Retry-After") != "" {
		return fmt.Sprint(resp.StatusCode, " with Retry-After")
	}
	return fmt.Sprint(resp.StatusCode)
}
