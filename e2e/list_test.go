package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"shoal/e2e/cluster"
)

// entry is a key or a common prefix of a listing.
type entry struct {
	name   string
	prefix bool
	size   int64
}

// question is what a listing is asked.
type question struct {
	prefix, delimiter, after string
}

// modelList answers a question from sorted keys, in one page
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
func modelList(keys []string, q question) []entry {
	var all []entry
	for i, k := range keys {
		rest, ok := strings.CutPrefix(k, q.prefix)
		if !ok {
			continue
		}
		if q.delimiter != "" {
			if at := strings.Index(rest, q.delimiter); at >= 0 {
				name := q.prefix + rest[:at+len(q.delimiter)]
				if name > q.after && (len(all) == 0 || all[len(all)-1].name != name) {
					all = append(all, entry{name: name, prefix: true})
				}
				continue
			}
		}
		if k > q.after {
			all = append(all, entry{name: k, size: int64(i % 50)})
		}
	}
	return all
}

// listingKeys makes n sorted keys with folders, odd delimiters and neighbours that sort badly.
func listingKeys(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	seen := make(map[string]bool)
	folders := []string{"", "a/", "a/b/", "a/b/c/", "a-", "a.", "b//", "é/", "z/z/z/z/", "photos/2024/01/", "photos/2024/02/", "photos/2025/01/", "x|y|", "%/", "日/"}
	for len(seen) < n {
		f := folders[r.IntN(len(folders))]
		switch r.IntN(12) {
		case 0:
			f = fmt.Sprintf("%s%d/", f, r.IntN(40))
		case 1:
			f = fmt.Sprintf("many/%05d/", r.IntN(n))
		}
		seen[fmt.Sprintf("%s%x", f, r.IntN(4*n))] = true
	}
	keys := make([]string, 0, n)
	for k := range seen {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestListing(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{})
	c, bucket := p.S3(), "listing"
	keys := listingKeys(10_000)
	sdk := sdkClient{c}
	must(t, sdk.mkBucket(t.Context(), bucket))
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(32)
	for i, k := range keys {
		g.Go(func() error { return sdk.put(ctx, bucket, k, pattern{seed: uint64(i), size: int64(i % 50)}) })
	}
	must(t, g.Wait())

	questions := []question{
		{}, {delimiter: "/"}, {prefix: "a"}, {prefix: "a/"}, {prefix: "a/", delimiter: "/"}, {prefix: "a/b/", delimiter: "/"},
		{prefix: "a", delimiter: "/"}, {delimiter: "|"}, {prefix: "x|", delimiter: "|"}, {delimiter: "//"}, {prefix: "b", delimiter: "//"},
		{prefix: "photos/", delimiter: "/"}, {prefix: "photos/2024", delimiter: "/"}, {prefix: "photos/", delimiter: "2"}, {delimiter: "z/z"},
		{prefix: "many/", delimiter: "/"}, {prefix: "many/"}, {prefix: "none/"}, {prefix: "日/"}, {prefix: "é/", delimiter: "é"}, {prefix: "%", delimiter: "/"},
		{after: "a/b/"}, {after: "a/b/", delimiter: "/"}, {after: "a/zz", delimiter: "/"}, {prefix: "a/", after: "a/b/c/5", delimiter: "/"},
		{after: keys[5000]}, {after: keys[len(keys)-1]}, {prefix: keys[77]}, {prefix: "a", after: "b"}, {prefix: "b", after: "a"}, {delimiter: "0"},
	}
	for _, q := range questions {
		for _, size := range []int32{7, 1000} {
			want := modelList(keys, q)
			if size == 7 && len(want) > 700 && !full() {
				continue
			}
			for name, list := range map[string]func(context.Context, *s3.Client, string, question, int32) ([]entry, error){"v1": listV1, "v2": listV2} {
				got, err := list(t.Context(), c, bucket, q, size)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s of %+v in pages of %d: %d entries, want %d (%v)%s", name, q, size, len(got), len(want), err, difference(got, want))
				}
			}
		}
	}
}

func difference(got, want []entry) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("; entry %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	return ""
}

// merge puts the keys and common prefixes of a page in the order of their names.
func merge(contents []types.Object, prefixes []types.CommonPrefix, most int32) ([]entry, error) {
	var page []entry
	for _, o := range contents {
		name, err := url.QueryUnescape(aws.ToString(o.Key))
		if err != nil {
			return nil, err
		}
		page = append(page, entry{name: name, size: aws.ToInt64(o.Size)})
	}
	for _, p := range prefixes {
		name, err := url.QueryUnescape(aws.ToString(p.Prefix))
		if err != nil {
			return nil, err
		}
		page = append(page, entry{name: name, prefix: true})
	}
	if len(page) > int(most) {
		return nil, fmt.Errorf("a page of %d, asked for %d", len(page), most)
	}
	slices.SortFunc(page, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return page, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func listV2(ctx context.Context, c *s3.Client, bucket string, q question, size int32) ([]entry, error) {
	var all []entry
	in := s3.ListObjectsV2Input{Bucket: &bucket, Prefix: optional(q.prefix), Delimiter: optional(q.delimiter),
		StartAfter: optional(q.after), MaxKeys: &size, EncodingType: types.EncodingTypeUrl}
	for {
		out, err := c.ListObjectsV2(ctx, &in)
		if err != nil {
			return nil, err
		}
		page, err := merge(out.Contents, out.CommonPrefixes, size)
		if err != nil {
			return nil, err
		}
		if int(aws.ToInt32(out.KeyCount)) != len(page) {
			return nil, fmt.Errorf("KeyCount %d on a page of %d", aws.ToInt32(out.KeyCount), len(page))
		}
		all = append(all, page...)
		if !aws.ToBool(out.IsTruncated) {
			return all, nil
		}
		if len(page) != int(size) {
			return nil, fmt.Errorf("a truncated page of %d, asked for %d", len(page), size)
		}
		if out.NextContinuationToken == nil || aws.ToString(in.ContinuationToken) == *out.NextContinuationToken {
			return nil, fmt.Errorf("a truncated page gives no way on after %q", page[len(page)-1].name)
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

func listV1(ctx context.Context, c *s3.Client, bucket string, q question, size int32) ([]entry, error) {
	var all []entry
	in := s3.ListObjectsInput{Bucket: &bucket, Prefix: optional(q.prefix), Delimiter: optional(q.delimiter),
		Marker: optional(q.after), MaxKeys: &size, EncodingType: types.EncodingTypeUrl}
	for {
		out, err := c.ListObjects(ctx, &in)
		if err != nil {
			return nil, err
		}
		page, err := merge(out.Contents, out.CommonPrefixes, size)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if !aws.ToBool(out.IsTruncated) {
			return all, nil
		}
		// Without a delimiter there is no NextMarker: the last key is the marker.
		next := ""
		if len(page) > 0 {
			next = page[len(page)-1].name
		}
		if out.NextMarker != nil {
			if next, err = url.QueryUnescape(*out.NextMarker); err != nil {
				return nil, err
			}
		} else if q.delimiter != "" {
			return nil, fmt.Errorf("no NextMarker on a truncated page with a delimiter")
		}
		if len(page) == 0 || next <= aws.ToString(in.Marker) {
			return nil, fmt.Errorf("a truncated page of %d after %q goes on after %q", len(page), aws.ToString(in.Marker), next)
		}
		in.Marker = &next
	}
}
