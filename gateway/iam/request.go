package iam

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"shoal/acl"
	"shoal/gateway/edge"
	"shoal/node/api"
)

// requestKeysHint is the number of condition keys that a request usually has.
const requestKeysHint = 24

// RequestKeys are the condition keys that every request has, whatever is asked for: who asks, when, from where
// and how (IAM User Guide, "AWS global condition context keys").
func RequestKeys(r *http.Request, by *Caller, region string, now time.Time) map[string][]string {
	q := acl.Request{Keys: make(map[string][]string, requestKeysHint)}
	q.SetPrincipal(&by.Principal)
	q.SetTime(now)
	k := q.Keys
	values := make([]string, 0, 6) // one piece of memory for the values of several keys
	set := func(name, value string) {
		values = append(values, value)
		n := len(values)
		k[name] = values[n-1 : n : n]
	}
	if by.Session != nil {
		set("aws:tokenissuetime", by.Session.Issued.UTC().Format(time.RFC3339))
		// Temporary credentials always have the key, and no session is made with a second factor here; access keys
		// never have it (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-multifactorauthpresent).
		set("aws:multifactorauthpresent", "false")
	}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		set("aws:sourceip", at.Addr().Unmap().WithZone("").String())
	}
	set("aws:securetransport", strconv.FormatBool(edge.Secure(r)))
	set("aws:requestedregion", region)
	set("aws:resourceaccount", api.Account)
	for _, h := range [...]struct{ header, key string }{{"User-Agent", "aws:useragent"}, {"Referer", "aws:referer"}} {
		if v := r.Header[h.header]; len(v) > 0 && v[0] != "" {
			k[h.key] = v[:1:1]
		}
	}
	return k
}
