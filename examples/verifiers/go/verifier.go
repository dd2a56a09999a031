// Package ratchet verifies Ratchet's access tokens in a backend, without a request per token.
//
// Only access tokens of one issuer for one audience pass, signed by a key that the service publishes. A session is
// refused within a second of its end. It needs github.com/golang-jwt/jwt/v5 and github.com/MicahParks/keyfunc/v3.
package ratchet

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// ErrInvalid means that the token is bad: answer 401.
var ErrInvalid = errors.New("not an access token of this issuer for this audience")

// Claims of an access token. Roles is empty when the user has none.
type Claims struct {
	jwt.RegisteredClaims
	SessionID string   `json:"sid"`
	Roles     []string `json:"roles"`
}

// Verifier can be used by any number of goroutines.
type Verifier struct {
	parser        *jwt.Parser
	keys          keyfunc.Keyfunc
	failedFetches *atomic.Int64
	sessions      *EndedSessions
}

// New starts to follow keys and ended sessions until the context is done. Issuer and audience are JWT_ISSUER and
// JWT_AUDIENCE; the base URL is where this backend reaches Ratchet. It returns also while Ratchet is away.
func New(ctx context.Context, issuer, audience, baseURL string) (*Verifier, error) {
	failedFetches := new(atomic.Int64)
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{baseURL + "/.well-known/jwks.json"}, keyfunc.Override{
		HTTPTimeout:       3 * time.Second,
		RateLimitWaitMax:  3 * time.Second, // by default a made-up key id hangs for a minute; also ends the fetch
		RefreshInterval:   5 * time.Minute, // by default an hour
		RefreshUnknownKID: rate.NewLimiter(rate.Every(10*time.Second), 1),
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(context.Context, error) { failedFetches.Add(1) }
		},
	})
	if err != nil {
		return nil, err
	}
	return &Verifier{
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"ES256", "RS256"}), jwt.WithIssuer(issuer),
			jwt.WithAudience(audience), jwt.WithExpirationRequired()),
		keys:          keys,
		failedFetches: failedFetches,
		sessions:      FollowSessions(ctx, baseURL, 10*time.Second),
	}, nil
}

// Verify returns the claims of a good token. Otherwise the error is ErrInvalid or ErrEnded, for a 401, or
// ErrUnavailable, for a 503.
func (v *Verifier) Verify(token string) (*Claims, error) {
	var claims Claims
	parsed, err := v.parser.ParseWithClaims(token, &claims, v.keyOf)
	if errors.Is(err, ErrUnavailable) {
		return nil, ErrUnavailable
	}
	if err != nil || parsed.Header["typ"] != "at+jwt" || claims.Subject == "" || claims.SessionID == "" {
		return nil, ErrInvalid
	}
	if err := v.sessions.Check(claims.SessionID); err != nil {
		return nil, err
	}
	return &claims, nil
}

// A key that is not found while the set cannot be fetched may be a new one. The library reports both alike.
func (v *Verifier) keyOf(token *jwt.Token) (any, error) {
	kid, _ := token.Header["kid"].(string)
	failedBefore := v.failedFetches.Load()
	_, err := v.keys.Storage().KeyRead(context.Background(), kid)
	switch {
	case err == nil:
		return v.keys.Keyfunc(token)
	case errors.Is(err, jwkset.ErrKeyNotFound) && v.failedFetches.Load() == failedBefore:
		return nil, ErrInvalid
	default:
		return nil, ErrUnavailable
	}
}

// VerifyRequest reads the token from the Authorization header, and from nowhere else.
func (v *Verifier) VerifyRequest(request *http.Request) (*Claims, error) {
	values := request.Header.Values("Authorization")
	if len(values) != 1 || len(values[0]) < 7 || !strings.EqualFold(values[0][:7], "bearer ") {
		return nil, ErrInvalid
	}
	return v.Verify(strings.TrimSpace(values[0][7:]))
}
