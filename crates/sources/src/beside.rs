//! Work that may take long, on a thread beside the one that all sources share.

use std::io;
use std::thread::Builder;

use tokio::sync::oneshot;

/// What a thread's work needs: resolvers' plug-ins are the deepest.
const STACK_BYTES: usize = 256 * 1024;

/// Does `work` on a short-lived thread of its own, which nothing else waits for: work that hangs in
/// a driver or a resolver can be neither cancelled nor waited for. What nobody receives is dropped.
///
/// # Errors
/// What the system says where no thread can be started (a limit on processes, no memory). Tokio's
/// own pool would panic then.
pub(crate) fn beside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (tell, told) = oneshot::channel();
    let work = move || drop(tell.send(work()));
    let thread = Builder::new().name(name.to_owned());
    thread.stack_size(STACK_BYTES).spawn(work)?;
    Ok(told)
}
