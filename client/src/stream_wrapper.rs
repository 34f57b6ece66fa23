//! What streams that wrap another one have in common.

/// The part of `AsyncWrite` that is passed on to the stream inside, `self.stream`: flush and shutdown.
macro_rules! flush_and_shutdown_inner {
    () => {
        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    };
}

pub(crate) use flush_and_shutdown_inner;
