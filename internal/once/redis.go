package once

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"
)

// redisTime is how long a claim may take.
const redisTime = 5 * time.Second

// Redis is a store in a server that speaks the protocol of Redis.
type Redis struct {
	// URL is redis://HOST:PORT/DATABASE, or rediss: with TLS; a user may stand before HOST.
	URL *url.URL
	// Password is asked for each claim, so that a new one counts at once.
	Password func() (string, error)
}

const redisPrefix = "pve-mcp:used:"

// Claim implements [Store].
func (r Redis) Claim(ctx context.Context, id string, until time.Time) (first bool, err error) {
	forget := strconv.FormatInt(until.Add(skew).UnixMilli(), 10)
	_, err = redis.String(r.do(ctx, "SET", redisPrefix+id, "1", "NX", "PXAT", forget))
	if errors.Is(err, redis.ErrNil) {
		return false, nil
	}
	return err == nil, err
}

// Claimed implements [Store].
func (r Redis) Claimed(ctx context.Context, id string, _ time.Time) (bool, error) {
	return redis.Bool(r.do(ctx, "EXISTS", redisPrefix+id))
}

// do sends one command.
func (r Redis) do(ctx context.Context, command string, args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	password, err := r.Password()
	if err != nil {
		return nil, err
	}
	address := *r.URL
	address.User = nil // the client would take a user alone for a password
	conn, err := redis.DialURLContext(ctx, address.String(),
		redis.DialUsername(r.URL.User.Username()), redis.DialPassword(password),
		redis.DialTLSHandshakeTimeout(redisTime), redis.DialReadTimeout(redisTime), redis.DialWriteTimeout(redisTime))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redis.DoContext(conn, ctx, command, args...)
}
