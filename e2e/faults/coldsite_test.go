package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

// keptWithin bounds the wait for nodes to keep what their site needs when it is cut off.
const keptWithin = 2 * time.Minute

// TestSiteColdStart cuts a site off and kills all its processes. Started again, they serve the site's
// buckets from what its nodes have kept, say so, and let nobody in that was revoked before.
func TestSiteColdStart(t *testing.T) {
	atLength(t)
	cluster.Need(t, netns.Available())
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Sites: []string{"main"}, Network: true})
	for _, site := range []string{"main", "main", "edge", "edge"} {
		c.AddNode(site)
	}
	edge := c.AddGateway("edge")
	before := c.Members()
	banned := c.AddGateway("edge")
	server := c.Nodes()[0]
	waitRedundant(t, c)
	far, near := server.S3(), edge.S3()
	must(t, bound(t, far, "bound", "edge"))
	d := &dataset{t: t, bucket: "bound", r: rand.New(rand.NewPCG(newSeed(t), 3)), held: make(map[string]content)}
	d.fill(20, []*cluster.Process{server})
	id := newcomer(t, before, c.Members())
	banned.Kill()
	if out, err := c.Operator().Admin("members", "revoke", "--yes", id); err != nil {
		t.Fatalf("revoke: %v: %s", err, out)
	}
	eventually(t, cutWithin, func() error { return within(c, "edge") })
	waitRedundant(t, c)
	must(t, bound(t, far, "late", "edge"))
	made := time.Now()
	inSite := c.Nodes()[3:5]
	for _, p := range inSite {
		eventually(t, keptWithin, func() error { return keptSince(p, made) })
	}

	cut(t, c, "edge")
	for _, p := range append([]*cluster.Process{edge}, inSite...) {
		p.Kill()
	}
	for _, p := range append([]*cluster.Process{edge, banned}, inSite...) {
		p.Start()
	}
	began := time.Now()
	edge.WaitReady()
	eventually(t, cutWithin, func() error { return putText(t, near, "late", "after", 300<<10, "") })
	t.Logf("written in the site %.1f s after its processes were started", time.Since(began).Seconds())
	through := []*cluster.Process{edge}
	d.verify(through)
	d.overwrite(5, through)
	d.remove(3, through)
	must(t, getText(t, near, "late", "after", 300<<10))
	for _, p := range append([]*cluster.Process{edge}, inSite...) {
		eventually(t, cutWithin, func() error { return says(p, "/health/ready", http.StatusOK, "limits", "edge") })
		eventually(t, cutWithin, func() error {
			return says(p, "/health/cluster", http.StatusServiceUnavailable, "system group does not answer")
		})
	}
	must(t, says(edge, "/metrics", http.StatusOK, "shoal_client_cut_off 1"))
	if status, text, err := banned.Page("/health/ready"); err == nil && status == http.StatusOK {
		t.Errorf("a gateway that was revoked is ready: %s", text)
	}
	if err := getText(t, banned.S3(), "late", "after", 300<<10); err == nil {
		t.Error("a gateway that was revoked serves an object")
	}

	must(t, c.Network().Apply())
	eventually(t, cutWithin, func() error { return getText(t, far, "late", "after", 300<<10) })
	_, err := far.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("wide")})
	must(t, err)
	eventually(t, cutWithin, func() error { return putText(t, near, "wide", "again", 100<<10, "") })
	eventually(t, cutWithin, func() error { return says(edge, "/metrics", http.StatusOK, "shoal_client_cut_off 0") })
	d.verify([]*cluster.Process{server, edge})
	waitRedundant(t, c)
}

// newcomer is the one member that was not there before.
func newcomer(t *testing.T, before, after []api.Member) string {
	t.Helper()
	known := make(map[string]bool)
	for i := range before {
		known[before[i].PeerID] = true
	}
	after = slices.DeleteFunc(after, func(m api.Member) bool { return known[m.PeerID] })
	if len(after) != 1 {
		t.Fatalf("%d new members", len(after))
	}
	return after[0].PeerID
}

// keptSince is nil once a node has written what its site needs when it is cut off.
func keptSince(p *cluster.Process, since time.Time) error {
	st, err := os.Stat(filepath.Join(p.Dir(), "site.cache"))
	if err == nil && st.ModTime().Before(since) {
		err = fmt.Errorf("written at %v", st.ModTime())
	}
	return err
}

// says is nil when a page of the management port has the status and holds the words.
func says(p *cluster.Process, page string, status int, words ...string) error {
	got, text, err := p.Page(page)
	if err != nil {
		return err
	}
	for _, w := range words {
		if !strings.Contains(text, w) || got != status {
			return fmt.Errorf("%s answers %d without %q: %.300s", page, got, w, text)
		}
	}
	return nil
}
