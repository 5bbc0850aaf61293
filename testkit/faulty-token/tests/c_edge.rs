//! The module called as C calls it: what the safe wrapper cannot express.
#![allow(unsafe_code, reason = "a C interface is tested")]

mod common;

use std::ffi::{CString, c_void};
use std::ptr::{null_mut, without_provenance_mut};
use std::thread;

use common::{PATIENCE, Rig, answer, rv};
use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::error::Rv;
use cryptoki_sys::{CK_C_INITIALIZE_ARGS, CK_FUNCTION_LIST, CK_RV, CKF_OS_LOCKING_OK};
use qseed_faulty_token::{
    Action, BackgroundThread, Ckr, Event, Faults, FaultyToken, Function, Rule, SlotList,
};
use tempfile::TempDir;

/// A module of the test's own and its functions.
struct Raw {
    token: FaultyToken,
    functions: CK_FUNCTION_LIST,
    _library: cryptoki_sys::Pkcs11,
    _folder: TempDir,
}

impl Raw {
    fn new(change: impl FnOnce(&mut Faults)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let token = FaultyToken::new(folder.path()).expect("a faulty token");
        token.set(change).expect("faults");
        let module = token.install().expect("the built module");
        let mut list = null_mut();
        // SAFETY: the module is this crate's, and `list` a place for its answer, which stays
        // valid as long as the library is loaded.
        let (library, functions) = unsafe {
            let library = cryptoki_sys::Pkcs11::new(module).expect("a module that loads");
            assert_eq!(Ckr(library.C_GetFunctionList(&raw mut list)), Ckr::OK);
            (library, *list)
        };
        Self {
            token,
            functions,
            _library: library,
            _folder: folder,
        }
    }
}

/// Calls a function of the list.
macro_rules! call {
    ($raw:expr, $function:ident($($argument:expr),*)) => {{
        let function = $raw.functions.$function.expect("a function for each member");
        // SAFETY: each argument is what PKCS#11 asks for, or a null pointer.
        Ckr(unsafe { function($($argument),*) })
    }};
}

#[test]
fn the_function_list_is_complete_and_safe_to_call_with_nothing() {
    let raw = Raw::new(|_| ());
    let version = raw.functions.version;
    assert_eq!((version.major, version.minor), (2, 40));
    let size = size_of::<CK_FUNCTION_LIST>();
    assert_eq!(
        (size - size_of::<usize>()) / size_of::<usize>(),
        Function::ALL.len()
    );
    assert_eq!(
        call!(raw, C_GetFunctionList(null_mut())),
        Ckr::ARGUMENTS_BAD
    );
    assert_eq!(
        call!(raw, C_Finalize(null_mut())),
        Ckr::CRYPTOKI_NOT_INITIALIZED
    );
    assert_eq!(call!(raw, C_Initialize(null_mut())), Ckr::OK);
    assert_eq!(call!(raw, C_GetInfo(null_mut())), Ckr::ARGUMENTS_BAD);
    assert_eq!(
        call!(raw, C_GetSlotList(1, null_mut(), null_mut())),
        Ckr::ARGUMENTS_BAD
    );
    assert_eq!(
        call!(raw, C_GetTokenInfo(0, null_mut())),
        Ckr::ARGUMENTS_BAD
    );
    assert_eq!(
        call!(raw, C_OpenSession(0, 4, null_mut(), None, null_mut())),
        Ckr::ARGUMENTS_BAD
    );
    assert_eq!(
        call!(raw, C_SeedRandom(77, null_mut(), 3)),
        Ckr::ARGUMENTS_BAD
    );
    assert_eq!(
        call!(raw, C_SeedRandom(77, null_mut(), 0)),
        Ckr::SESSION_HANDLE_INVALID
    );
    assert_eq!(
        call!(raw, C_EncryptInit(0, null_mut(), 0)),
        Ckr::FUNCTION_NOT_SUPPORTED
    );
    assert_eq!(
        call!(raw, C_GetFunctionStatus(0)),
        Ckr::FUNCTION_NOT_SUPPORTED
    );
    assert_eq!(
        call!(raw, C_Finalize(without_provenance_mut(8))),
        Ckr::ARGUMENTS_BAD
    );
    assert_eq!(call!(raw, C_Finalize(null_mut())), Ckr::OK);
}

#[test]
fn sessions_are_serial() {
    let raw = Raw::new(|_| ());
    assert_eq!(call!(raw, C_Initialize(null_mut())), Ckr::OK);
    let mut session = 0;
    let parallel = call!(raw, C_OpenSession(0, 0, null_mut(), None, &raw mut session));
    assert_eq!(parallel, Ckr::SESSION_PARALLEL_NOT_SUPPORTED);
}

#[test]
fn a_short_slot_list_says_how_long_it_must_be() {
    let raw = Raw::new(|faults| faults.slots = 3);
    assert_eq!(call!(raw, C_Initialize(null_mut())), Ckr::OK);
    let mut slots = [99; 4];
    let mut count = 2;
    let short = call!(raw, C_GetSlotList(0, slots.as_mut_ptr(), &raw mut count));
    assert_eq!((short, count, slots), (Ckr::BUFFER_TOO_SMALL, 3, [99; 4]));
    count = 4;
    let enough = call!(raw, C_GetSlotList(0, slots.as_mut_ptr(), &raw mut count));
    assert_eq!((enough, count, slots), (Ckr::OK, 3, [0, 1, 2, 99]));
}

#[test]
fn some_modules_look_at_their_slots_only_when_asked_with_a_null_list() {
    let raw = Raw::new(|faults| {
        faults.slot_list = SlotList::OnNullList;
        faults.slots = 2;
        faults.remove(1);
    });
    assert_eq!(call!(raw, C_Initialize(null_mut())), Ckr::OK);
    raw.token.set(|faults| faults.insert(1)).expect("faults");
    let mut slots = [99; 2];
    let mut count = 2;
    let list = slots.as_mut_ptr();
    assert_eq!(call!(raw, C_GetSlotList(1, list, &raw mut count)), Ckr::OK);
    assert_eq!(count, 1);
    assert_eq!(
        call!(raw, C_GetSlotList(1, null_mut(), &raw mut count)),
        Ckr::OK
    );
    assert_eq!(count, 2);
    assert_eq!(call!(raw, C_GetSlotList(1, list, &raw mut count)), Ckr::OK);
    assert_eq!(slots, [0, 1]);
}

#[test]
fn a_session_in_two_threads_is_noticed_and_closing_all_ends_it() {
    let raw = Raw::new(|faults| {
        faults.slots = 2;
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Hang));
    });
    assert_eq!(call!(raw, C_Initialize(null_mut())), Ckr::OK);
    let (mut session, mut other) = (0, 0);
    assert_eq!(
        call!(raw, C_OpenSession(0, 4, null_mut(), None, &raw mut session)),
        Ckr::OK
    );
    assert_eq!(
        call!(raw, C_OpenSession(1, 4, null_mut(), None, &raw mut other)),
        Ckr::OK
    );
    let seed = || call!(raw, C_SeedRandom(session, b"seed".as_ptr().cast_mut(), 4));
    thread::scope(|scope| {
        let threads = [scope.spawn(seed), scope.spawn(seed)];
        let shared = Event::SessionShared { session };
        let both_in_it = raw
            .token
            .wait_for(PATIENCE, |record| {
                record.iter().any(|line| line.event == shared)
            })
            .map(|_| ());
        let closed = call!(raw, C_CloseAllSessions(0));
        // Before anything is judged: a failed test must end too.
        raw.token
            .set(|faults| faults.rules.clear())
            .expect("faults");
        both_in_it.expect("both are in the session");
        assert_eq!(closed, Ckr::OK);
        for thread in threads {
            assert_eq!(
                thread.join().expect("no panic"),
                Ckr::SESSION_HANDLE_INVALID
            );
        }
    });
    assert_eq!(call!(raw, C_CloseSession(other)), Ckr::OK);
}

/// `C_Initialize` as an application with NSS's parameters does it, through the safe wrapper.
fn initialize_with(rig: &Rig, parameters: &str) -> Rv {
    let parameters = CString::new(parameters).expect("no NUL inside");
    let reserved = std::ptr::NonNull::new(parameters.as_ptr().cast_mut().cast::<c_void>());
    // SAFETY: the module takes the reserved member for a C string, and this one outlives the call.
    let arguments = unsafe {
        CInitializeArgs::new_with_reserved(
            CInitializeFlags::OS_LOCKING_OK,
            reserved.expect("a string has an address"),
        )
    };
    answer(rig.pkcs11.initialize(arguments))
}

#[test]
fn library_parameters_are_checked() {
    const WANTED: &str = "configdir='sql:/etc/nss'";
    let rig = Rig::loaded(|faults| faults.init_args = Some(WANTED.to_owned()));
    assert_eq!(answer(rig.initialize()), rv(Ckr::ARGUMENTS_BAD));
    assert_eq!(
        initialize_with(&rig, "configdir='sql:/etc'"),
        rv(Ckr::ARGUMENTS_BAD)
    );
    assert_eq!(initialize_with(&rig, WANTED), Rv::Ok);
    // A module that wants none takes none.
    let plain = Rig::loaded(|_| ());
    assert_eq!(initialize_with(&plain, WANTED), rv(Ckr::ARGUMENTS_BAD));
}

unsafe extern "C" fn create_mutex(_: *mut *mut c_void) -> CK_RV {
    Ckr::OK.0
}

unsafe extern "C" fn use_mutex(_: *mut c_void) -> CK_RV {
    Ckr::OK.0
}

#[test]
fn the_systems_locks_are_needed_and_threads_where_there_are_any() {
    let raw = Raw::new(|faults| {
        faults.thread = Some(BackgroundThread {
            stderr: String::new(),
            every_ms: 1,
        });
    });
    let mut arguments = CK_C_INITIALIZE_ARGS {
        CreateMutex: Some(create_mutex),
        ..Default::default()
    };
    let initialize = |arguments: &mut CK_C_INITIALIZE_ARGS| {
        call!(raw, C_Initialize((&raw mut *arguments).cast::<c_void>()))
    };
    assert_eq!(initialize(&mut arguments), Ckr::ARGUMENTS_BAD);
    arguments.DestroyMutex = Some(use_mutex);
    arguments.LockMutex = Some(use_mutex);
    arguments.UnlockMutex = Some(use_mutex);
    assert_eq!(initialize(&mut arguments), Ckr::CANT_LOCK);
    arguments.flags = CKF_OS_LOCKING_OK | cryptoki_sys::CKF_LIBRARY_CANT_CREATE_OS_THREADS;
    assert_eq!(initialize(&mut arguments), Ckr::NEED_TO_CREATE_THREADS);
    arguments.flags = CKF_OS_LOCKING_OK;
    assert_eq!(initialize(&mut arguments), Ckr::OK);
    assert_eq!(call!(raw, C_Finalize(null_mut())), Ckr::OK);
}
