package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

// Shape of what is measured between sites.
const (
	wanRoundTrip = 50 * time.Millisecond
	wanPuts      = 60
	wanGets      = 24
	wanObject    = 1 << 20
	// One byte of so many that are read may cross between sites. What members always say to each other
	// is in it.
	wanShare = 10
)

// TestBetweenSites measures requests while packets between sites take their time. Of an object
// with enough shards in a site nothing but metadata crosses when it is read there.
func TestBetweenSites(t *testing.T) {
	for _, tc := range []struct {
		name  string
		nodes int
		sites []string
		bound string   // site that a bucket is bound to
		near  []string // sites that have k shards of everything
	}{
		{name: "two sites", nodes: 4, sites: []string{"A", "B"}, near: []string{"A", "B"}},
		{name: "three sites", nodes: 6, sites: []string{"A", "B", "C"}},
		{name: "three sites, a bucket bound to one", nodes: 6, sites: []string{"A", "B", "C"}, bound: "B", near: []string{"B"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cluster.Need(t, netns.Available())
			atLength(t)
			c := cluster.Launch(t, cluster.Shape{Nodes: tc.nodes, Gateways: len(tc.sites), Sites: tc.sites, Network: true})
			waitRedundant(t, c)
			w := newWAN(t, c, tc.bound, tc.near)
			w.apart(wanRoundTrip / 2)
			w.measure()
			w.apart(0)
			waitRedundant(t, c)
		})
	}
}

// wan is a cluster whose sites are far from each other, with a bucket.
type wan struct {
	t      *testing.T
	c      *cluster.Cluster
	bucket string
	near   []string // sites whose gateways need nothing from elsewhere
	body   []byte
}

func newWAN(t *testing.T, c *cluster.Cluster, site string, near []string) *wan {
	t.Helper()
	w := &wan{t: t, c: c, bucket: "wan", near: near, body: make([]byte, wanObject)}
	rand.NewChaCha8([32]byte{1}).Read(w.body)
	s := c.Gateways()[0].S3()
	if site == "" {
		_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &w.bucket})
		must(t, err)
	} else {
		must(t, bound(t, s, w.bucket, site))
	}
	return w
}

// apart lets packets between sites take that long.
func (w *wan) apart(delay time.Duration) {
	w.t.Helper()
	var rules []netns.Rule
	if delay > 0 {
		for _, site := range w.sites() {
			in, out := w.split(site)
			rules = append(rules, netns.Rule{From: in, To: out, Delay: delay})
		}
	}
	must(w.t, w.c.Network().Apply(rules...))
}

func (w *wan) sites() []string {
	var names []string
	for _, p := range w.c.Gateways() {
		names = append(names, w.c.Site(p))
	}
	return names
}

func (w *wan) split(site string) (in, out []*netns.Host) {
	for _, p := range w.c.All() {
		if w.c.Site(p) == site {
			in = append(in, p.Host())
		} else {
			out = append(out, p.Host())
		}
	}
	return in, out
}

// measure writes and reads through the gateway of each site.
func (w *wan) measure() {
	w.t.Helper()
	for _, g := range w.c.Gateways() {
		s := g.S3()
		w.put(s, w.c.Site(g)+"/warm", wanObject)
		puts := w.times(wanPuts, func(i int) { w.put(s, fmt.Sprintf("%s/small-%d", w.c.Site(g), i), 1<<10) })
		large := w.times(wanGets, func(i int) { w.put(s, fmt.Sprintf("%s/large-%d", w.c.Site(g), i), wanObject) })
		smallGets := w.times(wanGets, func(i int) { w.get(s, fmt.Sprintf("%s/small-%d", w.c.Site(g), i), 1<<10) })
		in, out := w.split(w.c.Site(g))
		before := w.c.Network().Crossed(out, in)
		gets := w.times(wanGets, func(i int) { w.get(s, fmt.Sprintf("%s/large-%d", w.c.Site(g), i), wanObject) })
		crossed := w.c.Network().Crossed(out, in) - before
		leader := w.leader()
		w.t.Logf("gateway in %s, the bucket's leader in %s: PUT 1 KiB %s, PUT 1 MiB %s, GET 1 KiB %s, GET 1 MiB %s; %d bytes came into the site for each MiB read",
			w.c.Site(g), leader, percentiles(puts), percentiles(large), percentiles(smallGets), percentiles(gets), crossed/wanGets)
		if !slices.Contains(w.near, w.c.Site(g)) {
			continue
		}
		if most := int64(wanGets * wanObject / wanShare); crossed > most {
			w.t.Errorf("%d bytes came into site %s for %d that its gateway read, at most %d may", crossed, w.c.Site(g), wanGets*wanObject, most)
		}
	}
}

func (w *wan) put(s *s3.Client, key string, size int) {
	_, err := s.PutObject(w.t.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: aws.String(key), Body: bytes.NewReader(w.body[:size])})
	must(w.t, err)
}

func (w *wan) get(s *s3.Client, key string, size int) {
	out, err := s.GetObject(w.t.Context(), &s3.GetObjectInput{Bucket: &w.bucket, Key: aws.String(key)})
	must(w.t, err)
	got, err := io.ReadAll(out.Body)
	must(w.t, errors.Join(err, out.Body.Close()))
	if !bytes.Equal(got, w.body[:size]) {
		w.t.Fatalf("%s has another content, %d bytes", key, len(got))
	}
}

// times does something n times and gives how long each took, the shortest first.
func (w *wan) times(n int, do func(i int)) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		began := time.Now()
		do(i)
		all[i] = time.Since(began)
	}
	slices.Sort(all)
	return all
}

func percentiles(sorted []time.Duration) string {
	at := func(p int) time.Duration { return sorted[len(sorted)*p/100].Round(100 * time.Microsecond) }
	return fmt.Sprintf("p50 %v p90 %v", at(50), at(90))
}

// leader is the site of the node that leads the group of the bucket, which has worked most.
func (w *wan) leader() string {
	w.t.Helper()
	var groups []api.Group
	must(w.t, w.c.Operator().Query(&groups, "groups"))
	var busiest api.Group
	for _, g := range groups {
		if g.ID > 0 && g.Applied > busiest.Applied {
			busiest = g
		}
	}
	for _, p := range w.c.Nodes() {
		if peerID(w.t, w.c, p) == busiest.Leader {
			return w.c.Site(p)
		}
	}
	return "no site"
}
