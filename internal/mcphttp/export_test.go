package mcphttp

import (
	"context"
	"net/http"
)

// Handler is what [Serve] serves, without a listener.
func Handler(ctx context.Context, o Options) http.Handler { return newHandler(ctx, o).routes() }
