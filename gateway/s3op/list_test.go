package s3op_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func tree(s *server) {
	bkt(s)
	for _, key := range []string{"a", "b/1", "b/2", "b/c/3", "d", "e f", "g&h", "z%C3%A4"} {
		s.must("PUT /bkt/"+strings.ReplaceAll(key, " ", "%20"), nil, "x")
	}
}

func TestListObjectsV2(t *testing.T) {
	run(t, docs+"API/API_ListObjectsV2.html", tree, []exchange{
		{name: "all", line: "GET /bkt?list-type=2", status: 200, want: H{"Content-Type": "application/xml"}, has: []string{
			`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bkt</Name><Prefix></Prefix><KeyCount>8</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>a</Key><LastModified>2026-03-04T05:06:07.000Z</LastModified><ETag>&quot;9dd4e461268c8034f5c8564e155c67a6&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>`,
			"<Key>g&amp;h</Key>"}, hasNot: []string{"Owner", "CommonPrefixes", "Token"}},
		{name: "owner", line: "GET /bkt?list-type=2&fetch-owner=true", status: 200, has: []string{"<Size>1</Size><Owner><ID>" + rootID + "</ID></Owner><StorageClass>"}},
		{name: "no owner", line: "GET /bkt?list-type=2&fetch-owner=false", status: 200, hasNot: []string{"Owner"}},
		{name: "perhaps owner", line: "GET /bkt?list-type=2&fetch-owner=maybe", status: 400, code: "InvalidArgument"},
		{name: "prefix", line: "GET /bkt?list-type=2&prefix=b/", status: 200, has: []string{"<Prefix>b/</Prefix><KeyCount>3</KeyCount>"}},
		{name: "prefix of nothing", line: "GET /bkt?list-type=2&prefix=q", status: 200, has: []string{"<KeyCount>0</KeyCount>"}},
		{name: "delimiter", line: "GET /bkt?list-type=2&delimiter=/", status: 200, has: []string{"<KeyCount>6</KeyCount>", "<Delimiter>/</Delimiter>", "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"}, hasNot: []string{"b/1"}},
		{name: "prefix and delimiter", line: "GET /bkt?list-type=2&prefix=b/&delimiter=/", status: 200, has: []string{"<Key>b/1</Key>", "<Prefix>b/c/</Prefix>"}, hasNot: []string{"b/c/3"}},
		{name: "empty delimiter", line: "GET /bkt?list-type=2&delimiter=", status: 200, has: []string{"<KeyCount>8</KeyCount>"}, hasNot: []string{"Delimiter"}},
		{name: "long delimiter", line: "GET /bkt?list-type=2&delimiter=/c/", status: 200, has: []string{"<Prefix>b/c/</Prefix>", "<Key>b/1</Key>"}},
		{name: "start after", line: "GET /bkt?list-type=2&start-after=d", status: 200, has: []string{"<StartAfter>d</StartAfter>", "<KeyCount>3</KeyCount>"}},
		{name: "start after inside of a prefix", line: "GET /bkt?list-type=2&start-after=b/1&delimiter=/", status: 200, hasNot: []string{"<Prefix>b/</Prefix>"}},
		{name: "page", line: "GET /bkt?list-type=2&max-keys=2", status: 200, has: []string{"<KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>", "<NextContinuationToken>"}},
		{name: "exact page", line: "GET /bkt?list-type=2&max-keys=8", status: 200, has: []string{"<IsTruncated>false</IsTruncated>"}, hasNot: []string{"Token"}},
		{name: "nothing wanted", line: "GET /bkt?list-type=2&max-keys=0", status: 200, has: []string{"<KeyCount>0</KeyCount><MaxKeys>0</MaxKeys><IsTruncated>false</IsTruncated>"}},
		{name: "more than most", line: "GET /bkt?list-type=2&max-keys=2147483647", status: 200, has: []string{"<MaxKeys>1000</MaxKeys>"}},
		{name: "negative", line: "GET /bkt?list-type=2&max-keys=-1", status: 400, code: "InvalidArgument", has: []string{"Argument maxKeys must be an integer between 0 and 2147483647", "<ArgumentName>maxKeys</ArgumentName><ArgumentValue>-1</ArgumentValue>"}},
		{name: "no number", line: "GET /bkt?list-type=2&max-keys=x", status: 400, code: "InvalidArgument", has: []string{"Provided max-keys not an integer or within integer range"}},
		{name: "too great", line: "GET /bkt?list-type=2&max-keys=2147483648", status: 400, code: "InvalidArgument"},
		{name: "empty token", line: "GET /bkt?list-type=2&continuation-token=", status: 400, code: "InvalidArgument", has: []string{"The continuation token provided is incorrect"}},
		{name: "wrong token", line: "GET /bkt?list-type=2&continuation-token=YWJjZGVmZ2hpag==", status: 400, code: "InvalidArgument"},
		{name: "url", line: "GET /bkt?list-type=2&encoding-type=url", status: 200, has: []string{"<EncodingType>url</EncodingType>", "<Key>e+f</Key>", "<Key>g%26h</Key>", "<Key>z%C3%A4</Key>", "<Key>b/1</Key>"}},
		{name: "url prefix", line: "GET /bkt?list-type=2&encoding-type=url&prefix=e%20&delimiter=%26&start-after=d%26", status: 200,
			has: []string{"<Prefix>e+</Prefix>", "<Delimiter>%26</Delimiter>", "<StartAfter>d%26</StartAfter>"}},
		{name: "other encoding", line: "GET /bkt?list-type=2&encoding-type=base64", status: 400, code: "InvalidArgument", has: []string{"Invalid Encoding Method specified in Request"}},
		{name: "restore status", line: "GET /bkt?list-type=2", head: H{"x-amz-optional-object-attributes": "RestoreStatus"}, status: 200, hasNot: []string{"RestoreStatus"}},
		{name: "other attribute", line: "GET /bkt?list-type=2", head: H{"x-amz-optional-object-attributes": "Colour"}, status: 400, code: "InvalidArgument"},
		{name: "no bucket", line: "GET /nobody?list-type=2", status: 404, code: "NoSuchBucket"},
		{name: "trailing slash", line: "GET /bkt/?list-type=2", status: 200, has: []string{"<KeyCount>8</KeyCount>"}},
		{name: "other type", line: "GET /bkt?list-type=3", status: 400, code: "InvalidArgument"},
		{name: "versions", line: "GET /bkt?versions", status: 200, has: []string{"<VersionId>null</VersionId>"}},
	})
}

func TestListObjects(t *testing.T) {
	run(t, docs+"API/API_ListObjects.html", tree, []exchange{
		{name: "all", line: "GET /bkt", status: 200, has: []string{"<Name>bkt</Name><Prefix></Prefix><Marker></Marker><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents>", "<Owner><ID>" + rootID + "</ID></Owner>"}},
		{name: "page without delimiter", line: "GET /bkt?max-keys=2", status: 200, has: []string{"<IsTruncated>true</IsTruncated>"}, hasNot: []string{"NextMarker"}},
		{name: "page with delimiter", line: "GET /bkt?max-keys=2&delimiter=/", status: 200, has: []string{"<NextMarker>b/</NextMarker>", "<Prefix>b/</Prefix>"}},
		{name: "after a common prefix", line: "GET /bkt?marker=b/&delimiter=/", status: 200, has: []string{"<Marker>b/</Marker>", "<Key>d</Key>"}, hasNot: []string{"<Prefix>b/</Prefix>"}},
		{name: "marker", line: "GET /bkt?marker=d", status: 200, has: []string{"<Key>e f</Key>"}, hasNot: []string{"<Key>d</Key>"}},
		{name: "url", line: "GET /bkt?encoding-type=url&marker=d%20&max-keys=1&delimiter=/", status: 200, has: []string{"<Marker>d+</Marker>", "<NextMarker>e+f</NextMarker>"}},
		{name: "negative", line: "GET /bkt?max-keys=-5", status: 400, code: "InvalidArgument"},
		{name: "no bucket", line: "GET /nobody", status: 404, code: "NoSuchBucket"},
	})
}

func TestListControlCharacters(t *testing.T) {
	s := newServer(t)
	bkt(s)
	s.must("PUT /bkt/a%01b%0D%0Ac", nil, "x")
	a := s.must("GET /bkt?list-type=2", nil, "")
	if got := a.element("Key"); got != "a&#x1;b&#13;&#10;c" {
		t.Errorf("key shown as %q", got)
	}
	a = s.must("GET /bkt?list-type=2&encoding-type=url", nil, "")
	if got := a.element("Key"); got != "a%01b%0D%0Ac" {
		t.Errorf("key shown as %q", got)
	}
}

// Pages of every size give every key and prefix once, in order.
func TestListPages(t *testing.T) {
	s := newServer(t)
	bkt(s)
	var keys []string
	for i := range 60 {
		key := fmt.Sprintf("%c/%02d", 'a'+i%4, i)
		if i%7 == 0 {
			key = fmt.Sprintf("plain-%02d", i)
		}
		keys = append(keys, key)
		s.must("PUT /bkt/"+key, nil, "x")
	}
	slices.Sort(keys)
	for _, size := range []int{1, 2, 7, 59, 60, 61} {
		for _, delimiter := range []string{"", "/", "-"} {
			want := rolled(keys, delimiter)
			if got := s.walkV2(size, delimiter); !slices.Equal(got, want) {
				t.Errorf("v2, %d by %q: %v, want %v", size, delimiter, got, want)
			}
			if got := s.walkV1(size, delimiter); !slices.Equal(got, want) {
				t.Errorf("v1, %d by %q: %v, want %v", size, delimiter, got, want)
			}
		}
	}
}

// rolled is what a listing shows of keys, which are sorted.
func rolled(keys []string, delimiter string) []string {
	var out []string
	for _, k := range keys {
		if delimiter != "" {
			if i := strings.Index(k, delimiter); i >= 0 {
				k = k[:i+len(delimiter)]
			}
		}
		if len(out) == 0 || out[len(out)-1] != k {
			out = append(out, k)
		}
	}
	return out
}

// shown gives keys and prefixes of a page in order.
func (a *answer) shown() []string {
	_, tail, _ := strings.Cut(a.body, "<IsTruncated>")
	page := &answer{body: tail}
	out := append(page.all("Key"), page.all("Prefix")...)
	slices.Sort(out)
	return out
}

func (s *server) walkV2(size int, delimiter string) []string {
	var out []string
	for token := ""; ; {
		a := s.must(fmt.Sprintf("GET /bkt?list-type=2&max-keys=%d&delimiter=%s%s", size, delimiter, token), nil, "")
		out = append(out, a.shown()...)
		if a.element("IsTruncated") != "true" {
			return out
		}
		token = "&continuation-token=" + url.QueryEscape(a.element("NextContinuationToken"))
	}
}

func (s *server) walkV1(size int, delimiter string) []string {
	var out []string
	for marker := ""; ; {
		a := s.must(fmt.Sprintf("GET /bkt?max-keys=%d&delimiter=%s&marker=%s", size, delimiter, marker), nil, "")
		out = append(out, a.shown()...)
		if a.element("IsTruncated") != "true" {
			return out
		}
		if marker = a.element("NextMarker"); marker == "" {
			marker = out[len(out)-1]
		}
	}
}

// A token is good for its own bucket only.
func TestTokenOfAnotherBucket(t *testing.T) {
	s := newServer(t)
	tree(s)
	s.must("PUT /bkt2", nil, "")
	token := s.must("GET /bkt?list-type=2&max-keys=1", nil, "").element("NextContinuationToken")
	a := s.do("GET /bkt2?list-type=2&continuation-token="+url.QueryEscape(token), nil, "")
	if a.code() != "InvalidArgument" {
		t.Errorf("a foreign token gave %d %s", a.status, a.code())
	}
}
