// Package edge is where connections meet the gateway: listeners, TLS, and the limits
// that keep one client from starving the others. It knows HTTP but nothing of S3.
//
// What it holds against a hostile or slow client:
//
//   - A request head must arrive whole within HeaderTimeout and HeaderBytesMax.
//   - A body, in either direction, must keep moving: no single wait beyond
//     StallTimeout, and no crawl below RateMin while the gateway is ready for more.
//     Long transfers that move live as long as they like, over HTTP/2 as over HTTP/1.1,
//     and so does what waits for the store. A form of which it is not known who sends
//     it has FormTimeout.
//   - Connections are counted, in all and by source. When all are taken, the
//     connection that has been idle longest gives way to a new one.
//   - Requests in flight are counted, by source and in all; the one too many is told
//     to come back later.
//
// Certificates are read from files, chosen by the name that a client asks for, and replaced while the server
// runs: a pair that cannot be served leaves the one before it in force.
//
// Or they are obtained by ACME, and shared with the other gateways. Clients may have certificates where an authority vouches for those.
//
// Where a request comes from is where its connection comes from, unless that is a trusted proxy: then it is what
// the proxy says, in the one header that it is known to write or by the PROXY protocol.
//
// Rules say which addresses are served. Shares hold sources and principals to what they may take; how many
// are remembered is bounded.
//
// Plain HTTP is for loopback addresses, unless the operator insists.
package edge
