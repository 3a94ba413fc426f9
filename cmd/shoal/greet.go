package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"shoal/gateway"
	"shoal/node"
)

// greet tells the operator where everything is. The secret is shown by the start that
// made it, and never again.
func (p *process) greet(n *node.Node, g *gateway.Server) error {
	s := p.settings
	s3, admin := g.Addrs()
	s3Secure, adminSecure := g.Secure()
	credentials, err := filepath.Abs(n.CredentialsPath())
	if err != nil {
		return err
	}
	data, err := filepath.Abs(s.data)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "shoal %s, peer %s\n\n", releaseName(), n.ID())
	line := func(name, value string) { fmt.Fprintf(&b, "  %-12s %s\n", name, value) }
	if s3 != nil {
		line("S3", endpoint(s3, s3Secure)+" (region "+s.region+")")
	}
	line("management", endpoint(admin, adminSecure)+" (/health/ready, /metrics)")
	line("data", data)
	line("credentials", credentials)
	if id, secret, first := n.NewRoot(); first {
		b.WriteString("\nThe root credential, shown this once; the file above keeps it:\n\n")
		line("access key", id)
		line("secret key", secret)
	}
	if s3 != nil {
		fmt.Fprintf(&b, "\n%s", toCopy(endpoint(s3, s3Secure), s.region, credentials))
	}
	_, err = fmt.Fprintln(p.env.out, b.String())
	return err
}

// toCopy are lines with which a newcomer stores and reads a first object.
func toCopy(url, region, credentials string) string {
	return fmt.Sprintf(`Lines to copy:

  export AWS_SHARED_CREDENTIALS_FILE=%[3]s AWS_REGION=%[2]s
  aws --endpoint-url %[1]s s3 mb s3://first
  aws --endpoint-url %[1]s s3 cp README.md s3://first/
  aws --endpoint-url %[1]s s3 ls s3://first/

  curl --aws-sigv4 aws:amz:%[2]s:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
    --user "$(awk '/^aws_/{v[$1]=$3} END{print v["aws_access_key_id"] ":" v["aws_secret_access_key"]}' %[3]s)" \
    %[1]s/first/README.md
`, url, region, quote(credentials))
}

// quote makes one word of a path for a shell.
func quote(path string) string {
	if strings.ContainsAny(path, " \t\n'\"\\$`&|;<>()*?[]{}~#!") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// endpoint is the URL at which a listener is reached from this machine.
func endpoint(addr net.Addr, tls bool) string {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
