package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/gateway/audit"
)

// fillVolume writes a file until its volume is full.
func fillVolume(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for size := 64 * kib; size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		err = nil
	}
}

// TestLogVolumeFull fills the volume of the logs, and nothing else. With block, requests are refused and nothing is done
// without a record; with shed they are answered, and the log counts them. Once there is room all goes on, the chain is whole,
// and a target has got everything.
func TestLogVolumeFull(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"block", "shed"} {
		t.Run(mode, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			logs := filepath.Join(dir, "logs")
			smallDisk(t, logs, 4*mib)
			h := newHook(t)
			p := cluster.Start(t, cluster.Options{Dir: dir, Args: append(withTargets(t, h.table), "--audit-full", mode, "--audit-file-size", "1MiB", "--audit-keep-size", "1MiB")})
			must(t, sdkClient{p.S3()}.mkBucket(t.Context(), "first"))
			filler := filepath.Join(logs, "filler")
			fillVolume(t, filler)

			// Requests go on as long as the file's last block has room.
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			get := func(within time.Duration) (int, error) {
				c := *client
				c.Timeout = within
				resp, err := c.Get(p.Endpoint() + "/first/" + strings.Repeat("%22", 500))
				if err != nil {
					return 0, err
				}
				defer resp.Body.Close()
				_, err = io.Copy(io.Discard, resp.Body)
				return resp.StatusCode, err
			}
			if mode == "block" {
				eventually(t, time.Minute, func() error {
					// One of them waits for its record, and those behind it are refused.
					if status, err := get(2 * time.Second); status != 503 {
						return fmt.Errorf("answered %d, %v", status, err)
					}
					return nil
				})
				once := sdkClient{p.S3(func(o *s3.Options) { o.RetryMaxAttempts = 1 })}
				if err := once.mkBucket(t.Context(), "refused"); status(err) != 503 {
					t.Errorf("a full volume is answered with %v", err)
				}
			} else {
				for range 50 {
					if status, err := get(time.Minute); status != 403 {
						t.Fatalf("answered %d, %v", status, err)
					}
				}
			}
			must(t, os.Remove(filler))
			eventually(t, time.Minute, func() error { return sdkClient{p.S3()}.mkBucket(t.Context(), "second") })
			wanted := map[string]string{"block": `"event":"refused"`, "shed": `"event":"shed"`}[mode]
			eventually(t, time.Minute, func() error {
				if text := strings.Join(logged(t, p, audit.AccessLog), "\n"); !strings.Contains(text, wanted) {
					return fmt.Errorf("no record has %s", wanted)
				}
				return h.equals(t, p)
			})
			if mode == "block" {
				once := sdkClient{p.S3()}
				if err := once.put(t.Context(), "refused", "k", pattern{size: 1}); !absent(err) {
					t.Errorf("the refused bucket: %v", err)
				}
			}
			wantWholeAudit(t, verifyAudit(t, p, nil), 0)
		})
	}
}
