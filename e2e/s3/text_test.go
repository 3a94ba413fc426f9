package s3

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// answer is what came back.
type answer struct {
	line   string // of the request
	method string
	status int
	header http.Header
	body   string
}

// code is the error code in the answer's document, "" where it has none or is no error.
func (a *answer) code() string {
	if !strings.HasPrefix(a.body, xmlHead+"<Error>") {
		return ""
	}
	return a.element("Code")
}

// element is the text of the first element of that name, with its references resolved.
func (a *answer) element(name string) string { return a.nth(name, 0) }

// nth is the text of the element of that name and number, counted from 0.
func (a *answer) nth(name string, n int) string {
	rest, ok := a.body, true
	for range n + 1 {
		if _, rest, ok = strings.Cut(rest, "<"+name+">"); !ok {
			return ""
		}
	}
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return references.Replace(text)
}

var references = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'")

// find gives a header, or the text of an element: "X-Amz-Version-Id", "<UploadId>", or
// "<VersionId>2" for the third.
func (a *answer) find(where string) string {
	name, ok := strings.CutPrefix(where, "<")
	if !ok {
		return a.header.Get(where)
	}
	name, number, _ := strings.Cut(name, ">")
	n := 0
	if number != "" {
		n, _ = strconv.Atoi(number) // what is no number is the first
	}
	return a.nth(name, n)
}

var patterns sync.Map // of *regexp.Regexp by pattern

// compiled turns a pattern, whose {*} are anything but "<", into an expression.
func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(pattern), `\{\*\}`, `[^<]*`))
	patterns.Store(pattern, re)
	return re
}

// matches says whether the whole text fits a pattern.
func matches(pattern, text string) bool {
	if !strings.Contains(pattern, "{*}") {
		return pattern == text
	}
	at := compiled(pattern).FindStringIndex(text)
	return at != nil && at[0] == 0 && at[1] == len(text)
}

// search finds the first place of a text that fits a pattern, -1 for none.
func search(pattern, text string) (begin, end int) {
	if !strings.Contains(pattern, "{*}") {
		i := strings.Index(text, pattern)
		return i, i + len(pattern)
	}
	if at := compiled(pattern).FindStringIndex(text); at != nil {
		return at[0], at[1]
	}
	return -1, -1
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		whole         bool
		at            int
	}{
		{"abc", "abc", true, 0},
		{"b", "abc", false, 1},
		{"<a>{*}</a>", "<a>x.y</a>", true, 0},
		{"<a>{*}</a>", "<b><a></a></b>", false, 3},
		{"<a>{*}</a>", "<a><c></c></a>", false, -1},
		{"d", "abc", false, -1},
	} {
		if got := matches(c.pattern, c.text); got != c.whole {
			t.Errorf("%q fits %q: %v", c.pattern, c.text, got)
		}
		if got, _ := search(c.pattern, c.text); got != c.at {
			t.Errorf("%q found in %q at %d, want %d", c.pattern, c.text, got, c.at)
		}
	}
	a := &answer{body: "<L><V>1</V><V>a&amp;b</V></L>", header: http.Header{"X-A": {"y"}}}
	if a.find("<V>") != "1" || a.find("<V>1") != "a&b" || a.find("<V>2") != "" || a.find("x-a") != "y" {
		t.Error("find does not find")
	}
}
