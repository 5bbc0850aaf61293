//! A crash on demand.

#![allow(unsafe_code)]

/// Ends the process as a stray pointer does.
pub(crate) fn segfault() -> ! {
    // An address in the first page, which the kernel never maps; not null, which Rust's own
    // checks would turn into a panic.
    let stray = std::ptr::without_provenance_mut::<u8>(16);
    // SAFETY: a volatile write outside of all Rust memory does what the machine does there: a
    // page fault that ends the process, which is the aim. No Rust value is touched.
    unsafe { stray.write_volatile(0) };
    // A host that ignores SIGSEGV would come here.
    std::process::abort()
}
