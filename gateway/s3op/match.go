package s3op

import (
	"context"
	"net/http"
	"strings"
)

// writeObjectResponse is the path of the one operation that has no bucket in AWS.
const writeObjectResponse = "WriteGetObjectResponse"

// place is where an operation is looked up: what it acts on and how.
type place struct {
	scope  Scope
	method string
}

// index holds the operations of each place, those with most selectors first, and
// which query keys select an operation anywhere. It is filled once from the table.
var index, selectors = buildIndex()

func buildIndex() (map[place][]*Operation, map[string]bool) {
	byPlace := make(map[place][]*Operation)
	keys := make(map[string]bool)
	for i := range table {
		op := &table[i]
		op.known = knownHeaders(op.takes)
		at := place{op.Scope, op.Method}
		list := append(byPlace[at], op)
		for j := len(list) - 1; j > 0 && list[j].weight() > list[j-1].weight(); j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
		byPlace[at] = list
		for _, sel := range op.Query {
			name, _, _ := strings.Cut(sel, "=")
			keys[name] = true
		}
	}
	return byPlace, keys
}

// weight orders operations of one place: who asks for more is asked first.
func (op *Operation) weight() int { return len(op.Query) + len(op.Headers) }

// selects says whether a request has all that the operation asks for.
func (op *Operation) selects(q Query, h http.Header) bool {
	for _, sel := range op.Query {
		name, want, valued := strings.Cut(sel, "=")
		got, ok := q.Lookup(name)
		if !ok || valued && got != want {
			return false
		}
	}
	for _, name := range op.Headers {
		if h.Get(name) == "" {
			return false
		}
	}
	return true
}

// Match finds the operation that a request means. It never gives nil: what the table
// does not know becomes an operation whose Serve is the error that AWS answers
// (MethodNotAllowed, InvalidArgument for two sub-resources at once, NotImplemented).
func Match(method, bucket, key string, q Query, h http.Header) *Operation {
	scope := ObjectScope
	switch {
	case bucket == "":
		scope = ServiceScope
	case key == "":
		scope = BucketScope
	}
	if bucket == writeObjectResponse && method == http.MethodPost {
		return &writeGetObjectResponse
	}
	if method == http.MethodOptions && bucket != "" {
		return &preflight
	}
	list := index[place{scope, method}]
	if len(list) == 0 {
		return notAllowed[scope]
	}
	sub, odd := subresource(method, q)
	if odd != nil {
		return odd
	}
	for _, op := range list {
		if (sub == "" || op.asksFor(sub)) && op.selects(q, h) {
			return op
		}
	}
	return notAllowed[scope]
}

// subresource finds the sub-resource that a request names, "" for none, and what
// speaks against it: two sub-resources at once, or one that nobody knows.
func subresource(method string, q Query) (sub string, odd *Operation) {
	for i := range q {
		name := q[i].Name
		switch {
		case subresources[name] && sub != "" && sub != name:
			return "", &conflictingQuery
		case subresources[name]:
			sub = name
		case parameters[name] || selectors[name] || strings.HasPrefix(name, "x-") || hasFoldPrefix(name, "x-amz-"):
		case q[i].Value == "" || method != http.MethodGet && method != http.MethodHead:
			// A key that is new to us may be a sub-resource of a later S3: taking a PUT
			// of it for a PUT of the object would overwrite the object.
			return "", &unknownQuery
		}
	}
	return sub, nil
}

// asksFor says whether a sub-resource selects the operation.
func (op *Operation) asksFor(sub string) bool {
	for _, sel := range op.Query {
		if queryName(sel) == sub {
			return true
		}
	}
	return false
}

func queryName(sel string) string {
	name, _, _ := strings.Cut(sel, "=")
	return name
}

func hasFoldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// Operations that stand for errors of routing. Their names come from a closed list,
// as those of the table do.
var (
	notAllowed = [...]*Operation{
		ServiceScope: {Name: "MethodNotAllowed", Scope: ServiceScope, free: true, serve: serveNotAllowed},
		BucketScope:  {Name: "MethodNotAllowed", Scope: BucketScope, free: true, serve: serveNotAllowed},
		ObjectScope:  {Name: "MethodNotAllowed", Scope: ObjectScope, free: true, serve: serveNotAllowed},
	}
	conflictingQuery = Operation{Name: "ConflictingQuery", free: true, serve: serveConflictingQuery}
	unknownQuery     = Operation{Name: "UnknownSubresource"}
)

func serveNotAllowed(_ context.Context, c *call) error {
	return errMethodNotAllowed(c.HTTP.Method, c.op.Scope)
}

func serveConflictingQuery(_ context.Context, c *call) error {
	var names []string
	for _, p := range c.Query {
		if subresources[p.Name] {
			names = append(names, p.Name)
		}
	}
	return errInvalidArgumentf("ResourceType", strings.Join(names, ", "),
		"Conflicting query string parameters: %s", strings.Join(names, ", "))
}

// subresources are the query keys that name a resource of their own. Two of them at
// once mean nothing.
var subresources = stringSet("abac accelerate acl analytics annotation attributes cors delete encryption " +
	"intelligent-tiering inventory legal-hold lifecycle location logging metadataAnnotationTable " +
	"metadataConfiguration metadataInventoryTable metadataJournalTable metadataTable metrics notification " +
	"object-lock ownershipControls policy policyStatus publicAccessBlock renameObject replication " +
	"requestPayment restore retention select session tagging torrent uploads versioning versions website")

// parameters are the query keys that S3 operations know and that select none.
var parameters = stringSet("bucket-region continuation-token delimiter encoding-type fetch-owner key-marker " +
	"marker max-buckets max-keys max-parts max-uploads part-number-marker partNumber prefix " +
	"response-cache-control response-content-disposition response-content-encoding " +
	"response-content-language response-content-type response-expires start-after upload-id-marker " +
	"version-id-marker versionId annotation-prefix annotationName max-annotation-results " +
	"select-type max-directory-buckets AWSAccessKeyId Signature Expires")

func stringSet(words string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// Operations gives every row of the table to yield, in the order of their names.
func Operations(yield func(*Operation) bool) {
	for i := range table {
		if !yield(&table[i]) {
			return
		}
	}
	yield(&writeGetObjectResponse)
}
