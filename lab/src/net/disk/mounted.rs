//! The volume as the kernel asks for it.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::FallocateFlags;

use super::State;
use super::volume::Volume;

/// The kernel remembers nothing: a power cut changes files behind its back.
const TTL: Duration = Duration::ZERO;
const GENERATION: Generation = Generation(0);
/// Files have no state of their own by being open.
const HANDLE: FileHandle = FileHandle(0);
const SOCKET: u32 = 0o140_000;
const KIND: u32 = 0o170_000;

/// What the kernel talks to.
#[derive(Debug)]
pub(super) struct Mounted(Arc<Mutex<State>>);

impl Mounted {
    pub(super) fn new(state: Arc<Mutex<State>>) -> Self {
        Self(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Volume) -> io::Result<T>) -> Result<T, Errno> {
        work(&mut self.state().volume).map_err(Errno::from)
    }

    /// Does what puts bytes on the disk.
    fn put<T>(&self, work: impl FnOnce(&mut Volume) -> io::Result<T>) -> Result<T, Errno> {
        let mut state = self.state();
        if state.conduct.fails {
            return Err(Errno::EIO);
        }
        work(&mut state.volume).map_err(Errno::from)
    }

    /// Does what makes bytes last, as slowly as that is.
    fn last(&self, work: impl FnOnce(&mut Volume) -> io::Result<()>) -> Result<(), Errno> {
        let takes = self.state().conduct.sync_takes;
        let until = Instant::now() + takes;
        // The one thread of the disk: whoever else wants something of it waits too. A thread may wake up early.
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        self.put(work)
    }
}

fn attributes(number: u64, metadata: &Metadata) -> FileAttr {
    let time = |seconds: i64, nanos: i64| {
        let since = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
        SystemTime::UNIX_EPOCH + since
    };
    FileAttr {
        ino: INodeNo(number),
        size: metadata.len(),
        blocks: metadata.blocks(),
        atime: time(metadata.atime(), metadata.atime_nsec()),
        mtime: time(metadata.mtime(), metadata.mtime_nsec()),
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind(metadata.file_type()),
        perm: u16::try_from(metadata.mode() & 0o7777).unwrap_or(0),
        nlink: u32::try_from(metadata.nlink()).unwrap_or(1),
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: 0,
        blksize: 4_096,
        flags: 0,
    }
}

fn kind(of: std::fs::FileType) -> FileType {
    if of.is_dir() {
        FileType::Directory
    } else if of.is_socket() {
        FileType::Socket
    } else {
        FileType::RegularFile
    }
}

fn named(reply: ReplyEntry, found: Result<(u64, Metadata), Errno>) {
    match found {
        Ok((number, metadata)) => reply.entry(&TTL, &attributes(number, &metadata), GENERATION),
        Err(error) => reply.error(error),
    }
}

fn done(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        named(reply, self.with(|volume| volume.look_up(parent.0, name)));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.with(|volume| volume.metadata(number.0)) {
            Ok(metadata) => reply.attr(&TTL, &attributes(number.0, &metadata)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.put(|volume| {
            mode.map_or(Ok(()), |mode| volume.set_mode(number.0, mode))?;
            size.map_or(Ok(()), |size| volume.truncate(number.0, size))?;
            volume.metadata(number.0)
        });
        match changed {
            Ok(metadata) => reply.attr(&TTL, &attributes(number.0, &metadata)),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: u32, reply: ReplyEntry) {
        let made = match mode & KIND {
            SOCKET => self.put(|volume| volume.make_socket(parent.0, name, mode & !umask)),
            _ => self.put(|volume| volume.create(parent.0, name, mode & !umask & 0o7777)),
        };
        named(reply, made);
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        named(reply, self.put(|volume| volume.make_directory(parent.0, name, mode & !umask & 0o7777)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.put(|volume| volume.remove(parent.0, name)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.put(|volume| volume.remove_directory(parent.0, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        done(reply, self.put(|volume| volume.rename(parent.0, name, new_parent.0, new_name)));
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        named(reply, self.put(|volume| volume.link(number.0, parent.0, name)));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(HANDLE, FopenFlags::empty());
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.put(|volume| volume.create(parent.0, name, mode & !umask & 0o7777)) {
            Ok((number, metadata)) => {
                reply.created(&TTL, &attributes(number, &metadata), GENERATION, HANDLE, FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.with(|volume| volume.read(number.0, offset, usize::try_from(size).unwrap_or(usize::MAX))) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.put(|volume| volume.write(number.0, offset, data)) {
            // The kernel writes at most 16 MiB at once.
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file syncs nothing.
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(reply, self.last(|volume| volume.sync(number.0)));
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.with(|volume| volume.list(number.0)) {
            Ok(entries) => {
                let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
                for (place, (known, of, name)) in (1..).zip(entries).skip(skipped) {
                    // What has no number is given one when it is looked up; 0 would end the list.
                    if reply.add(INodeNo(known.max(1)), place, kind(of), name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(reply, self.last(|volume| volume.sync_directory(number.0)));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.with(|volume| volume.space()) {
            Ok(space) => reply.statfs(
                space.f_blocks,
                space.f_bfree,
                space.f_bavail,
                space.f_files,
                space.f_ffree,
                4_096,
                255,
                u32::try_from(space.f_frsize).unwrap_or(4_096),
            ),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let flags = u32::try_from(mode).ok().map(FallocateFlags::from_bits_retain);
        let Some(flags) = flags else { return reply.error(Errno::EINVAL) };
        done(reply, self.put(|volume| volume.allocate(number.0, offset, length, flags)));
    }
}
