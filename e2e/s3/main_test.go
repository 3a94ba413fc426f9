package s3

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
)

// casesMin is how many cases there are at least. It is raised with every family, so that
// none disappears unseen.
const casesMin = 1611

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// TestOneNode asks a server that is alone.
func TestOneNode(t *testing.T) {
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, First: serverArgs, Serving: servingArgs})
	runAll(t, newStore(t, c))
}

// TestCluster asks four nodes through two gateways in turn.
func TestCluster(t *testing.T) {
	if os.Getenv("E2E_FULL") == "" {
		t.Skip("runs with E2E_FULL")
	}
	c := cluster.Launch(t, cluster.Shape{Nodes: 4, Gateways: 1, First: serverArgs, Serving: servingArgs})
	settle(t, c)
	runAll(t, newStore(t, c))
}

// serverArgs are those of the first server, which alone is asked by host name.
var serverArgs = []string{"--domain", domain}

// servingArgs let clients bring keys for their objects without TLS.
var servingArgs = []string{"--insecure-http"}

const domain = "s3.shoal.test"

// settle waits until a cluster that has just grown is as redundant as it promises.
func settle(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	deadline := time.NewTimer(3 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.Operator().Redundant()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("the cluster did not come to rest: %v", err)
		}
	}
}

// runAll runs every case against one store.
func runAll(t *testing.T, s *store) {
	t.Run("expires", func(t *testing.T) {
		t.Parallel()
		testExpires(t, s)
	})
	t.Run("transits", func(t *testing.T) {
		t.Parallel()
		testTransits(t, s)
	})
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			for i := range f.cases {
				c := &f.cases[i]
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					s.newRun(t, &f, i).play(c)
				})
			}
		})
	}
}

// TestCases counts the cases and checks that each can be told from the others and cites a
// page of AWS.
func TestCases(t *testing.T) {
	total := 0
	for _, f := range families() {
		names := make(map[string]bool)
		for _, c := range f.cases {
			page := c.doc
			if page == "" {
				page = f.doc
			}
			if !strings.HasPrefix(page, docs) && !strings.HasPrefix(page, rfc) {
				t.Errorf("%s/%s cites %q, which is no page of S3", f.name, c.name, page)
			}
			if c.name == "" || names[c.name] {
				t.Errorf("%s has two cases named %q", f.name, c.name)
			}
			if c.status == 0 {
				t.Errorf("%s/%s does not say what must come back", f.name, c.name)
			}
			names[c.name] = true
		}
		t.Logf("%4d %s", len(f.cases), f.name)
		total += len(f.cases)
	}
	t.Logf("%4d cases", total)
	if total < casesMin {
		t.Errorf("%d cases are fewer than %d", total, casesMin)
	}
}

const (
	docs = "https://docs.aws.amazon.com/AmazonS3/latest/"
	rfc  = "https://www.rfc-editor.org/rfc/"
)

// bucketName is the name of a case's bucket, numbered where it has several.
func bucketName(f *family, number, which int) string {
	return fmt.Sprintf("%s-%03d-%d", strings.ReplaceAll(f.name, " ", "-"), number, which)
}
