package ratchet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Answer 401 for ErrEnded, and 503, never 401, for ErrUnavailable: clients sign out on a 401.
var (
	ErrEnded       = errors.New("the session has ended")
	ErrUnavailable = errors.New("keys or news of ended sessions are unavailable")
)

// No access token lives longer than an hour; two minutes more for clocks.
const keptFor = 3720 * time.Second

// EndedSessions knows which sessions have ended: it follows GET /auth/revocations. It needs the standard library only,
// so it serves any JWT library.
type EndedSessions struct {
	url          string
	maxStaleness time.Duration
	client       http.Client

	mutex       sync.RWMutex
	toldAt      map[string]time.Time
	currentAsOf time.Time // every session that ended before is known
}

// FollowSessions starts to follow, until the context is done. The base URL is where this backend reaches Ratchet. When
// the news is older than maxStaleness, 10 s for example, no session is accepted until it is current again.
func FollowSessions(ctx context.Context, baseURL string, maxStaleness time.Duration) *EndedSessions {
	s := &EndedSessions{
		url:          baseURL + "/auth/revocations",
		maxStaleness: maxStaleness,
		client:       http.Client{Timeout: 10 * time.Second},
		toldAt:       map[string]time.Time{},
	}
	go s.follow(ctx)
	return s
}

// Check returns nil only if the session is known to be live.
func (s *EndedSessions) Check(sessionID string) error {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	if _, ended := s.toldAt[sessionID]; ended || sessionID == "" {
		return ErrEnded
	}
	if time.Since(s.currentAsOf) > s.maxStaleness {
		return ErrUnavailable
	}
	return nil
}

var errCursor = errors.New("the cursor was refused")

func (s *EndedSessions) follow(ctx context.Context) {
	cursor, pause := "", 100*time.Millisecond
	for ctx.Err() == nil {
		asked := time.Now()
		next, err := s.ask(ctx, cursor, asked)
		if err == nil {
			cursor, pause = next, 100*time.Millisecond
			time.Sleep(time.Until(asked.Add(300 * time.Millisecond)))
			continue
		}
		if errors.Is(err, errCursor) {
			cursor = "" // not one of this service: ask for the whole list
		}
		time.Sleep(pause)
		if pause *= 2; pause > 2*time.Second {
			pause = 2 * time.Second
		}
	}
}

func (s *EndedSessions) ask(ctx context.Context, cursor string, asked time.Time) (string, error) {
	address := s.url
	if cursor != "" {
		address += "?after=" + url.QueryEscape(cursor)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusBadRequest {
		return "", errCursor
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", response.StatusCode)
	}
	// Pointers, because a missing age must not count as no age.
	var answer struct {
		Revoked       []string `json:"revoked"`
		Cursor        string   `json:"cursor"`
		AgeSeconds    *float64 `json:"age_seconds"`
		WaitedSeconds *float64 `json:"waited_seconds"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", err
	}
	if answer.Cursor == "" || answer.AgeSeconds == nil || answer.WaitedSeconds == nil {
		return "", errors.New("not an answer of Ratchet")
	}
	// The age is subtracted: the news is older than the answer, which left no earlier than it was asked for and waited.
	asOf := asked.Add(time.Duration((*answer.WaitedSeconds - *answer.AgeSeconds) * float64(time.Second)))
	now := time.Now()
	if asOf.After(now) {
		return "", errors.New("not an answer of Ratchet")
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for id, toldAt := range s.toldAt {
		if now.Sub(toldAt) > keptFor {
			delete(s.toldAt, id)
		}
	}
	for _, id := range answer.Revoked {
		if _, known := s.toldAt[id]; !known {
			s.toldAt[id] = now
		}
	}
	if asOf.After(s.currentAsOf) {
		s.currentAsOf = asOf
	}
	return answer.Cursor, nil
}
