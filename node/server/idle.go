package server

import "time"

// touch notes that a client is being served: it reads, writes or deletes what a group led here keeps, or reads shards. What members do
// among themselves does not count.
func (s *Server) touch() { s.last.Store(time.Now().UnixNano()) }

// Idle is for how long no client was served.
func (s *Server) Idle() time.Duration { return time.Since(time.Unix(0, s.last.Load())) }
